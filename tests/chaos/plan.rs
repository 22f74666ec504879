//! The order of kills. The same seed makes the same plan; the timing of the operating system still differs.

use std::time::Duration;

/// Pseudorandom numbers from a seed: SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
/// 2014).
#[derive(Debug, Clone)]
pub(crate) struct Seeded(u64);

impl Seeded {
    /// A sequence that depends on seed and text only.
    pub(crate) fn of(seed: u64, text: &str) -> Self {
        // FNV-1a
        let hash = text
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        Self(seed ^ hash)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `end` - 1.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub(crate) fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
    }

    fn millis(&mut self, from: usize, to: usize) -> Duration {
        Duration::from_millis((from + self.below(to - from)) as u64)
    }
}

/// A kill of one process or two at once, and their restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blow {
    /// The pause before the kill.
    pub(crate) pause: Duration,
    /// Indexes of the victims, all different.
    pub(crate) victims: Vec<usize>,
    /// The time between kill and restart.
    pub(crate) away: Duration,
}

/// Kills each victim once, in random order. Each is back before the next one is killed.
pub(crate) fn one_by_one(seed: u64, victims: usize) -> Vec<Blow> {
    let mut seeded = Seeded::of(seed, "one by one");
    let mut order: Vec<_> = (0..victims).collect();
    seeded.shuffle(&mut order);
    let blow = |victim| Blow { pause: seeded.millis(100, 600), victims: vec![victim], away: seeded.millis(100, 700) };
    order.into_iter().map(blow).collect()
}

/// Endless kills that do not wait for restarts: mostly of one victim, sometimes of two at once.
pub(crate) fn storm(seed: u64, victims: usize) -> impl Iterator<Item = Blow> {
    let mut seeded = Seeded::of(seed, "storm");
    std::iter::repeat_with(move || {
        let pause = seeded.millis(200, 1_500);
        let first = seeded.below(victims);
        // Always different from the first.
        let second = (first + 1 + seeded.below(victims - 1)) % victims;
        let victims = if seeded.below(3) == 0 { vec![first, second] } else { vec![first] };
        Blow { pause, victims, away: seeded.millis(50, 1_500) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_depends_on_the_seed_alone() {
        assert_eq!(one_by_one(7, 9), one_by_one(7, 9));
        assert_ne!(one_by_one(7, 9), one_by_one(8, 9));
        let first = |seed| storm(seed, 9).take(50).collect::<Vec<_>>();
        assert_eq!(first(7), first(7));
        assert_ne!(first(7), first(8));
    }

    #[test]
    fn plans_kill_every_victim_and_pairs_differ() {
        let mut once: Vec<_> = one_by_one(7, 9).into_iter().flat_map(|blow| blow.victims).collect();
        once.sort_unstable();
        assert_eq!(once, (0..9).collect::<Vec<_>>());
        let blows: Vec<_> = storm(7, 9).take(300).collect();
        assert!(blows.iter().all(|blow| blow.victims.iter().all(|victim| *victim < 9)));
        let pairs: Vec<_> = blows.iter().filter(|blow| blow.victims.len() == 2).collect();
        assert!(pairs.len() > 50 && pairs.iter().all(|pair| pair.victims[0] != pair.victims[1]));
        assert!((0..9).all(|victim| blows.iter().any(|blow| blow.victims.contains(&victim))));
    }
}

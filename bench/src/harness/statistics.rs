//! Percentiles and medians.

/// p50, p95 and p99 in milliseconds.
pub(crate) fn percentiles(latencies: &mut [u64]) -> [f64; 3] {
    latencies.sort_unstable();
    let at = |share: f64| {
        let index = (latencies.len() as f64 * share) as usize;
        latencies.get(index.min(latencies.len().saturating_sub(1))).map_or(0.0, |us| *us as f64 / 1_000.0)
    };
    [at(0.5), at(0.95), at(0.99)]
}

pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let half = figures.len() / 2;
    if figures.len().is_multiple_of(2) { f64::midpoint(figures[half - 1], figures[half]) } else { figures[half] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_taken_from_sorted_latencies() {
        let mut latencies: Vec<u64> = (1..=1_000).rev().map(|n| n * 1_000).collect();
        assert_eq!(percentiles(&mut latencies), [501.0, 951.0, 991.0]);
        assert_eq!(percentiles(&mut []), [0.0, 0.0, 0.0]);
    }

    #[test]
    fn median_is_the_middle_figure() {
        assert_eq!([median(vec![3.0, 1.0, 9.0]), median(vec![1.0, 9.0, 3.0, 2.0])], [3.0, 2.5]);
    }
}

//! Exact comparison of JSON numbers by value: `0.1` equals `1e-1`, and `9007199254740993` is more than
//! `9007199254740992`, although both are the same binary float.

use std::cmp::Ordering;

/// The largest exponent that is compared exactly. Larger exponents, which do not occur in practice, count as equal.
const MAX_EXPONENT: i64 = 1_000_000_000_000_000_000;

/// Compares two numbers in JSON notation.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (Decimal::read(a), Decimal::read(b));
    match (a.sign(), b.sign()) {
        (-1, -1) => b.compare_magnitude(&a),
        (1, 1) => a.compare_magnitude(&b),
        (sign_a, sign_b) => sign_a.cmp(&sign_b),
    }
}

/// The value 0.d₁d₂d₃… × 10^exponent. Neither the first nor the last digit is zero; the number zero has no digits.
struct Decimal {
    is_negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    fn read(text: &str) -> Self {
        let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = || whole.bytes().chain(fraction.bytes());
        let zeros = all().take_while(|digit| *digit == b'0').count();
        let mut digits: Vec<u8> = all().skip(zeros).collect();
        let kept = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        digits.truncate(kept);
        let point = to_i64(whole.len()).saturating_sub(to_i64(zeros));
        Self { is_negative, digits, exponent: point.saturating_add(read_exponent(exponent)) }
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.is_negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    fn compare_magnitude(&self, other: &Self) -> Ordering {
        self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits))
    }
}

fn to_i64(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(MAX_EXPONENT)
}

fn read_exponent(text: &str) -> i64 {
    let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let digits = text.trim_start_matches(['+', '0']);
    let exponent = if digits.is_empty() { 0 } else { digits.parse().unwrap_or(MAX_EXPONENT).min(MAX_EXPONENT) };
    if is_negative { -exponent } else { exponent }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_compared_by_value_not_by_notation() {
        let in_order = [
            "-1e999",
            "-10",
            "-9.99",
            "-1e-999",
            "0",
            "1e-999999999999999999999",
            "1e-999",
            "0.1",
            "0.10000000000000000000000000000001",
            "9007199254740992",
            "9007199254740993",
            "1e400",
            "1.5e400",
            "1e99999999999999999999",
        ];
        for (i, a) in in_order.iter().enumerate() {
            for (j, b) in in_order.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} and {b}");
            }
        }
        for (a, b) in [("0", "-0"), ("0", "0.000"), ("0e5", "0"), ("1", "1.0"), ("1e2", "100"), ("1E+2", "0.01e4")] {
            assert_eq!(compare(a, b), Ordering::Equal, "{a} and {b}");
        }
    }

    proptest! {
        #[test]
        fn integers_compare_alike_in_every_notation(a in any::<i64>(), b in any::<i64>(), shift in 0_u32..20) {
            let (a_text, b_text) = (a.to_string(), format!("{b}{}e-{shift}", "0".repeat(shift as usize)));
            prop_assert_eq!(compare(&a_text, &b_text), a.cmp(&b));
        }
    }
}

//! Checks variables that only the SDK reads. If it cannot read a value, it uses the default without a log line.

use super::export::{Signal, is_disabled, set};

/// The variables that hold a number.
const NUMBERS: [&str; 8] = [
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BLRP_SCHEDULE_DELAY",
    "OTEL_BLRP_EXPORT_TIMEOUT",
    "OTEL_BLRP_MAX_QUEUE_SIZE",
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
];
/// The variables that hold a word, each with its allowed values.
const WORDS: [(&str, &[&str]); 2] = [
    (
        "OTEL_TRACES_SAMPLER",
        &[
            "always_on",
            "always_off",
            "traceidratio",
            "parentbased_always_on",
            "parentbased_always_off",
            "parentbased_traceidratio",
        ],
    ),
    ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", &["cumulative", "delta", "lowmemory"]),
];
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
/// The text between `OTEL_EXPORTER_OTLP` and the name of a variable that each signal has.
const SIGNALS: [&str; 4] = ["", "_TRACES", "_METRICS", "_LOGS"];

/// A message for each variable with a wrong value; empty if nothing is exported.
pub(super) fn unreadable() -> Vec<String> {
    let all = [Signal::Traces, Signal::Metrics, Signal::Logs];
    if is_disabled() || all.iter().all(|signal| signal.set("ENDPOINT").is_none()) {
        return vec![];
    }
    unreadable_among(set)
}

fn unreadable_among(set: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut wrong = vec![];
    let mut check = |name: &str, is_right: &dyn Fn(&str) -> bool, what: &str| {
        // Headers may be secrets, so no value is repeated.
        if set(name).is_some_and(|value| !is_right(&value)) {
            wrong.push(format!("{name}: the value is not {what}"));
        }
    };
    let is_number = |value: &str| value.parse::<u64>().is_ok();
    for name in NUMBERS {
        check(name, &is_number, "a number");
    }
    for (name, words) in WORDS {
        check(name, &|value| words.contains(&value), &format!("one of {}", words.join(", ")));
    }
    check(
        SAMPLER_ARG,
        &|value| value.parse().is_ok_and(|ratio: f64| (0.0..=1.0).contains(&ratio)),
        "a number from 0 to 1",
    );
    for signal in SIGNALS {
        let of = |name: &str| format!("OTEL_EXPORTER_OTLP{signal}_{name}");
        check(&of("TIMEOUT"), &is_number, "a number of milliseconds");
        check(&of("HEADERS"), &are_headers, "name=value, with commas between several");
        check(&of("INSECURE"), &|value| is_one_of(value, &["true", "false"]), "true or false");
    }
    wrong
}

fn is_one_of(value: &str, words: &[&str]) -> bool {
    words.iter().any(|word| value.eq_ignore_ascii_case(word))
}

fn are_headers(value: &str) -> bool {
    value.split_terminator(',').all(|header| {
        header
            .split_once('=')
            .is_some_and(|(name, value)| http::HeaderName::try_from(name.trim()).is_ok() && !value.trim().is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_value_is_named_without_being_repeated() {
        let wrong = |name: &'static str, value: &'static str| {
            unreadable_among(move |variable| (variable == name).then(|| value.to_owned()))
        };
        for (name, right, bad) in [
            ("OTEL_BSP_SCHEDULE_DELAY", "100", "soon"),
            ("OTEL_BLRP_MAX_QUEUE_SIZE", "10", "-1"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio", "sometimes"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25", "1.5"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta", "deltas"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10000", "10s"),
            ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "1", "-1"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1, b=%20x,", "Bearer secret"),
            ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "TRUE", "yes"),
        ] {
            assert_eq!(wrong(name, right), Vec::<String>::new());
            let errors = wrong(name, bad);
            assert_eq!(errors.len(), 1, "{name}: {errors:?}");
            assert!(errors[0].starts_with(name) && !errors[0].contains("secret"), "{errors:?}");
        }
    }
}

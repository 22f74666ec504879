//! Labels of series.

use std::fmt::Write as _;

use opentelemetry::KeyValue;

/// Labels in the order of their names, such as `a="1",b="2"`.
pub(super) fn labels(attributes: &[KeyValue]) -> String {
    let mut named: Vec<_> = attributes.iter().map(|a| (label_name(a.key.as_str()), a.value.as_str())).collect();
    named.sort_unstable();
    let mut out = String::new();
    for (name, value) in named {
        let comma = if out.is_empty() { "" } else { "," };
        let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
        let _ = write!(out, "{comma}{name}=\"{value}\"");
    }
    out
}

fn label_name(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_and_their_values_escaped() {
        let attributes = [KeyValue::new("b.c", "x\"y\\z\n"), KeyValue::new("a", 1)];
        assert_eq!(labels(&attributes), r#"a="1",b_c="x\"y\\z\n""#);
    }
}

//! Metrics of OpenTelemetry as OpenMetrics 1.0 text, named by OpenTelemetry's rules for Prometheus:
//! `http.server.request.duration` in `s` is `http_server_request_duration_seconds`.
//!
//! The existing libraries write no exemplars: `opentelemetry-prometheus` uses a library that writes the older text
//! format, and `prometheus-client` accepts exemplars from its own histograms only.

use std::{fmt::Write as _, time::UNIX_EPOCH};

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, Histogram, HistogramDataPoint, Metric, MetricData, ResourceMetrics,
};

use super::{exemplars::Exemplars, labels::labels};

/// All metrics, and `target_info` with the attributes of the process.
pub(super) fn written(metrics: &ResourceMetrics) -> String {
    let mut out = String::with_capacity(64 * 1024);
    let resource: Vec<_> =
        metrics.resource().iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
    let _ = writeln!(out, "# TYPE target info\n# HELP target The process\ntarget_info{{{}}} 1", labels(&resource));
    for metric in metrics.scope_metrics().flat_map(|scope| scope.metrics()) {
        match metric.data() {
            AggregatedMetrics::F64(data) => family(&mut out, metric, data),
            AggregatedMetrics::U64(data) => family(&mut out, metric, data),
            AggregatedMetrics::I64(data) => family(&mut out, metric, data),
        }
    }
    out.push_str("# EOF\n");
    out
}

fn family<T: Copy + std::fmt::Debug>(out: &mut String, metric: &Metric, data: &MetricData<T>) {
    let (name, unit) = family_name(metric.name(), metric.unit());
    let kind = match data {
        MetricData::Sum(sum) if sum.is_monotonic() => "counter",
        MetricData::Sum(_) | MetricData::Gauge(_) => "gauge",
        MetricData::Histogram(_) => "histogram",
        // No instrument of Leadline is of this kind.
        MetricData::ExponentialHistogram(_) => return,
    };
    let _ = writeln!(out, "# TYPE {name} {kind}");
    if let Some(unit) = unit {
        let _ = writeln!(out, "# UNIT {name} {unit}");
    }
    let help = metric.description().replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
    let _ = writeln!(out, "# HELP {name} {help}");
    match data {
        MetricData::Sum(sum) => {
            let total = if sum.is_monotonic() { "_total" } else { "" };
            for point in sum.data_points() {
                sample(out, &format!("{name}{total}"), point.attributes(), point.value());
            }
        }
        MetricData::Gauge(gauge) => {
            gauge.data_points().for_each(|point| sample(out, &name, point.attributes(), point.value()));
        }
        MetricData::Histogram(histogram) => of_histogram(out, &name, metric.name(), histogram),
        MetricData::ExponentialHistogram(_) => {}
    }
}

fn sample<'a, T: std::fmt::Debug>(
    out: &mut String,
    name: &str,
    attributes: impl Iterator<Item = &'a KeyValue>,
    value: T,
) {
    let labels = labels(&attributes.cloned().collect::<Vec<_>>());
    let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    let _ = writeln!(out, "{name}{braces} {value:?}");
}

fn of_histogram<T: Copy + std::fmt::Debug>(out: &mut String, name: &str, of: &str, histogram: &Histogram<T>) {
    for point in histogram.data_points() {
        let labels = labels(&point.attributes().cloned().collect::<Vec<_>>());
        buckets(out, name, of, &labels, point);
        let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(out, "{name}_sum{braces} {:?}\n{name}_count{braces} {}", point.sum(), point.count());
    }
}

fn buckets<T: Copy>(out: &mut String, name: &str, of: &str, labels: &str, point: &HistogramDataPoint<T>) {
    let exemplars = Exemplars::find(of, labels);
    let comma = if labels.is_empty() { "" } else { "," };
    let bounds = point.bounds().map(|bound| format!("{bound:?}")).chain(["+Inf".to_owned()]);
    let mut sum = 0;
    for (index, (bound, count)) in bounds.zip(point.bucket_counts()).enumerate() {
        sum += count;
        let _ = write!(out, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {sum}");
        if let Some(exemplar) = exemplars.as_ref().and_then(|exemplars| exemplars.bucket(index)) {
            let at = exemplar.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            let (trace, span, seconds) = (exemplar.trace, exemplar.span, exemplar.seconds);
            let _ = write!(out, " # {{trace_id=\"{trace:032x}\",span_id=\"{span:016x}\"}} {seconds:?} {at:.3}");
        }
        out.push('\n');
    }
}

/// The name of a metric family, and its unit as a word. The name ends with that word.
fn family_name(name: &str, unit: &str) -> (String, Option<&'static str>) {
    let mut name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let word = match unit {
        "s" => Some("seconds"),
        "By" => Some("bytes"),
        // The unit is a thing that is counted, such as `{attempt}`, or empty.
        _ => None,
    };
    if let Some(word) = word
        && !name.ends_with(word)
    {
        let _ = write!(name, "_{word}");
    }
    (name, word)
}

#[cfg(test)]
mod tests {
    use opentelemetry::metrics::MeterProvider as _;
    use opentelemetry_sdk::metrics::{SdkMeterProvider, reader::MetricReader as _};

    use super::*;
    use crate::telemetry::metrics::reader::Reader;

    #[test]
    fn names_follow_the_rules_for_prometheus() {
        let of = |name, unit| family_name(name, unit).0;
        assert_eq!(of("http.server.request.duration", "s"), "http_server_request_duration_seconds");
        assert_eq!(of("process.memory.usage", "By"), "process_memory_usage_bytes");
        assert_eq!(of("leadline.attempts", "{attempt}"), "leadline_attempts");
    }

    #[test]
    fn metrics_are_written_with_units_and_exemplars() {
        const BOUNDS: &[f64] = &[1.0, 5.0];
        let (reader, attributes) = (Reader::new(), [KeyValue::new("k", "v")]);
        let provider = SdkMeterProvider::builder().with_reader(reader.clone()).build();
        let meter = provider.meter("test");
        meter.u64_counter("a.b").with_unit("{event}").with_description("What\nhappens").build().add(3, &[]);
        meter.f64_gauge("size").with_unit("By").build().record(1.5, &attributes);
        let histogram = meter.f64_histogram("of_test.duration").with_unit("s").with_boundaries(BOUNDS.to_vec()).build();
        histogram.record(0.5, &attributes);
        histogram.record(2.0, &attributes);
        Exemplars::of("of_test.duration", &attributes, BOUNDS).offer(2.0, 0xab, 0xcd);
        let mut metrics = ResourceMetrics::default();
        reader.collect(&mut metrics).unwrap();
        let text = written(&metrics);
        let exemplar = format!("{{trace_id=\"{}ab\",span_id=\"{}cd\"}} 2.0 ", "0".repeat(30), "0".repeat(14));
        for part in [
            "# TYPE a_b counter\n# HELP a_b What\\nhappens\na_b_total 3\n",
            "# TYPE size_bytes gauge\n# UNIT size_bytes bytes\n",
            "size_bytes{k=\"v\"} 1.5\n",
            "of_test_duration_seconds_bucket{k=\"v\",le=\"1.0\"} 1\n",
            &format!("of_test_duration_seconds_bucket{{k=\"v\",le=\"5.0\"}} 2 # {exemplar}"),
            "of_test_duration_seconds_bucket{k=\"v\",le=\"+Inf\"} 2\n",
            "of_test_duration_seconds_sum{k=\"v\"} 2.5\nof_test_duration_seconds_count{k=\"v\"} 2\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}

//! The repairs of the reconciler, as a metric.

use read_model::Repairs;
use runtime::metrics::{self, KeyValue};

/// Observes the repairs of this process.
pub(crate) fn observe(repairs: &Repairs) {
    let repairs = repairs.clone();
    metrics::meter()
        .u64_observable_counter("leadline.healed")
        .with_unit("{delivery}")
        .with_description("Deliveries that the reconciler had to repair since the start of the process; must be 0")
        .with_callback(move |observer| {
            observer.observe(repairs.missing(), &[KeyValue::new("leadline.kind", "missing")]);
            observer.observe(repairs.stuck(), &[KeyValue::new("leadline.kind", "stuck")]);
        })
        .build();
}

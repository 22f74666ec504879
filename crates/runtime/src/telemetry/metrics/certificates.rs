//! The metric of the time until a certificate expires.

use std::{path::Path, time::SystemTime};

use opentelemetry::KeyValue;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::meter::{are_on, meter};

/// Observes how long the first certificate of a file is still valid. `what` names its use. The file is read once, as
/// the certificate is used until the process ends. A file that cannot be read is skipped here, because the listener
/// that uses it reports it.
pub fn observe_certificate(what: &'static str, file: &Path) {
    if !are_on() {
        return;
    }
    let Some(not_after) = not_after(file) else { return };
    meter()
        .i64_observable_gauge("leadline.certificate.expires_in")
        .with_unit("s")
        .with_description("Time until a certificate expires; negative once it has")
        .with_callback(move |observer| {
            let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
            let left = not_after.saturating_sub(i64::try_from(now).unwrap_or(i64::MAX));
            observer.observe(left, &[KeyValue::new("leadline.certificate", what)]);
        })
        .build();
}

fn not_after(file: &Path) -> Option<i64> {
    let first = CertificateDer::pem_file_iter(file).ok()?.next()?.ok()?;
    let (_, certificate) = X509Certificate::from_der(&first).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

//! The export of traces, metrics and logs, as the `OTEL_*` variables configure it.
//!
//! Guarantee: a collector that is configured wrongly, or does not answer, never stops the process. It causes one
//! warning.

use std::{
    env, fs,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context as _, bail};
use opentelemetry::KeyValue;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT, Protocol, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    resource::{EnvResourceDetector, ResourceDetector as _},
    trace::{Config, SdkTracerProvider, SpanData, SpanExporter},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::runtime::Handle;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};
use uuid::Uuid;

use super::{exceptions, sampler::KeepFailures};
use crate::chain::ErrorChain as _;

const NAMESPACE: &str = "leadline";

/// An exported signal. Each has its own variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    const fn name(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
            Self::Logs => "LOGS",
        }
    }

    /// The variable of the signal, or else that of all signals.
    pub(super) fn set(self, name: &str) -> Option<String> {
        let own = set(&format!("OTEL_EXPORTER_OTLP_{}_{name}", self.name()));
        own.or_else(|| set(&format!("OTEL_EXPORTER_OTLP_{name}")))
    }

    /// The name and the value of the variable `OTEL_TRACES_EXPORTER`, or of that of another signal.
    pub(super) fn exporter(self) -> (String, Option<String>) {
        let variable = format!("OTEL_{}_EXPORTER", self.name());
        let value = set(&variable);
        (variable, value)
    }
}

/// The collector of a signal, and how to call it.
pub(super) struct Target {
    pub(super) endpoint: String,
    pub(super) protocol: Protocol,
    signal: Signal,
    files: Files,
}

impl Target {
    /// `None` if no endpoint is set.
    ///
    /// # Errors
    /// If a variable is wrong.
    pub(super) fn of(signal: Signal) -> anyhow::Result<Option<Self>> {
        let Some(endpoint) = signal.set("ENDPOINT") else { return Ok(None) };
        Ok(Some(Self { endpoint, protocol: protocol(signal)?, signal, files: Files::read(signal)? }))
    }

    /// The TLS settings for gRPC; `None` if the collector is called without TLS.
    pub(super) fn tls_of_grpc(&self) -> Option<ClientTlsConfig> {
        self.files.is_needed_by(&self.endpoint, self.signal).then(|| self.files.for_grpc())
    }

    /// # Errors
    /// If a file cannot be used.
    pub(super) fn http_client(&self) -> anyhow::Result<Client> {
        Ok(Client { client: self.files.for_http(timeout(self.signal))?, runtime: Handle::current() })
    }
}

/// Whether the export of all signals is disabled.
pub(super) fn is_disabled() -> bool {
    set("OTEL_SDK_DISABLED").is_some_and(|disabled| disabled.eq_ignore_ascii_case("true"))
}

/// The provider of traces; `None` if nothing is to be exported.
///
/// # Errors
/// If a variable is wrong.
pub(super) fn provider(service: &'static str) -> anyhow::Result<Option<SdkTracerProvider>> {
    if is_disabled() {
        return Ok(None);
    }
    match Signal::Traces.exporter() {
        (_, None) => {}
        (variable, Some(exporter)) => match exporter.as_str() {
            "otlp" => {}
            "none" => return Ok(None),
            other => bail!("{variable}: {other:?} is unknown; use otlp or none"),
        },
    }
    let Some(target) = Target::of(Signal::Traces)? else { return Ok(None) };
    let builder = SdkTracerProvider::builder().with_sampler(sampler()).with_resource(resource(service));
    Ok(Some(match target.protocol {
        Protocol::Grpc => {
            let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic();
            let exporter = match target.tls_of_grpc() {
                Some(tls) => exporter.with_tls_config(tls),
                None => exporter,
            };
            builder.with_batch_exporter(Reporting::new(exporter.build()?, target.endpoint)).build()
        }
        protocol => {
            let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().with_protocol(protocol);
            let exporter = exporter.with_http_client(target.http_client()?).build()?;
            builder.with_batch_exporter(Reporting::new(exporter, target.endpoint)).build()
        }
    }))
}

/// The sampler that the variables name. Failures are kept unless the sampler is one that samples nothing.
fn sampler() -> KeepFailures {
    let keeps = set("OTEL_TRACES_SAMPLER").is_none_or(|name| !name.ends_with("always_off"));
    KeepFailures { others: Config::default().sampler, keeps }
}

/// The protocol that a variable names; gRPC by default.
fn protocol(signal: Signal) -> anyhow::Result<Protocol> {
    match signal.set("PROTOCOL").as_deref() {
        None | Some("grpc") => Ok(Protocol::Grpc),
        Some("http/protobuf") => Ok(Protocol::HttpBinary),
        Some(other) => bail!("OTEL_EXPORTER_OTLP_PROTOCOL: {other:?} is unknown; use grpc or http/protobuf"),
    }
}

/// The limit for one request. The SDK applies it only to its own clients.
fn timeout(signal: Signal) -> Duration {
    let given = signal.set("TIMEOUT").and_then(|milliseconds| milliseconds.parse().ok());
    given.map_or(OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT, Duration::from_millis)
}

/// The value of a variable; an empty one counts as not set.
pub(super) fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The attributes of this process in every export. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` override them.
pub(super) fn resource(service: &'static str) -> Resource {
    let given = EnvResourceDetector::new().detect();
    let own = [
        ("service.name", service.to_owned()),
        ("service.namespace", NAMESPACE.to_owned()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", Uuid::new_v4().to_string()),
    ];
    let missing = own.into_iter().filter(|(name, _)| given.get(&opentelemetry::Key::from(*name)).is_none());
    let missing = missing.map(|(name, value)| KeyValue::new(name, value));
    let builder = Resource::builder_empty().with_attributes(missing.collect::<Vec<_>>());
    let named = set("OTEL_SERVICE_NAME").map(|name| KeyValue::new("service.name", name));
    builder.with_detector(Box::new(EnvResourceDetector::new())).with_attributes(named).build()
}

/// The files for TLS, in PEM.
#[derive(Default)]
struct Files {
    authorities: Option<Vec<u8>>,
    /// Certificate and key.
    own: Option<(Vec<u8>, Vec<u8>)>,
}

impl Files {
    fn read(signal: Signal) -> anyhow::Result<Self> {
        let read = |name: &str| {
            let file = signal.set(name);
            let read = file.map(|file| {
                fs::read(&file).with_context(|| format!("OTEL_EXPORTER_OTLP_{name}: {file} cannot be read"))
            });
            read.transpose()
        };
        let own = match (read("CLIENT_CERTIFICATE")?, read("CLIENT_KEY")?) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => bail!("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and _CLIENT_KEY need each other; set both"),
        };
        Ok(Self { authorities: read("CERTIFICATE")?, own })
    }

    /// Whether a gRPC endpoint is called over TLS. An endpoint without a scheme is, unless
    /// `OTEL_EXPORTER_OTLP_INSECURE` is `true`.
    fn is_needed_by(&self, endpoint: &str, signal: Signal) -> bool {
        let is_insecure = signal.set("INSECURE").is_some_and(|insecure| insecure.eq_ignore_ascii_case("true"));
        endpoint.starts_with("https://") || (!endpoint.contains("://") && !is_insecure)
    }

    fn for_grpc(&self) -> ClientTlsConfig {
        let config = match &self.authorities {
            Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
            None => ClientTlsConfig::new().with_webpki_roots(),
        };
        match &self.own {
            Some((certificate, key)) => config.identity(Identity::from_pem(certificate, key)),
            None => config,
        }
    }

    fn for_http(&self, timeout: Duration) -> anyhow::Result<reqwest::Client> {
        let mut roots = RootCertStore::empty();
        match &self.authorities {
            Some(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    roots.add(
                        certificate.context("OTEL_EXPORTER_OTLP_CERTIFICATE: the file holds no certificates in PEM")?,
                    )?;
                }
            }
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        let builder = ClientConfig::builder_with_provider(ring::default_provider().into());
        let builder = builder.with_safe_default_protocol_versions()?.with_root_certificates(roots);
        let config = match &self.own {
            Some((certificate, key)) => {
                let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>();
                let chain =
                    chain.context("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: the file holds no certificates in PEM")?;
                let key = PrivateKeyDer::from_pem_slice(key);
                let key = key.context("OTEL_EXPORTER_OTLP_CLIENT_KEY: the file holds no private key in PEM")?;
                builder.with_client_auth_cert(chain, key)?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(reqwest::Client::builder().timeout(timeout).tls_backend_preconfigured(config).build()?)
    }
}

/// An HTTP client for the exporter, which runs on a thread without a tokio runtime.
#[derive(Debug)]
pub(super) struct Client {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move {
            let answer = client.execute(request.try_into()?).await?;
            let mut response = Response::builder().status(answer.status());
            if let Some(headers) = response.headers_mut() {
                headers.clone_from(answer.headers());
            }
            Ok::<_, HttpError>(response.body(answer.bytes().await?)?)
        });
        sending.await?
    }
}

/// An exporter that logs when it begins to fail, and when it works again.
#[derive(Debug)]
pub(super) struct Reporting<E> {
    pub(super) inner: E,
    endpoint: String,
    is_failing: AtomicBool,
}

impl<E> Reporting<E> {
    pub(super) const fn new(inner: E, endpoint: String) -> Self {
        Self { inner, endpoint, is_failing: AtomicBool::new(false) }
    }

    /// Logs the first failure to export `what`, with the consequence `lost`, and the first success after it.
    pub(super) fn report(&self, what: &str, lost: &str, exported: &OTelSdkResult) {
        let was_failing = self.is_failing.swap(exported.is_err(), Relaxed);
        match exported {
            Err(error) if !was_failing => {
                tracing::warn!(
                    error = error.chain(),
                    endpoint = self.endpoint,
                    "cannot export {what}; {lost} until the collector answers"
                );
            }
            Ok(()) if was_failing => tracing::info!(endpoint = self.endpoint, "{what} are exported again"),
            _ => {}
        }
    }
}

impl<E: SpanExporter> SpanExporter for Reporting<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        batch.iter_mut().for_each(exceptions::follow_conventions);
        let exported = self.inner.export(batch).await;
        self.report("traces", "spans are lost", &exported);
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

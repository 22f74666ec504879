//! The metrics that a collector receives.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::body::Body;
use http::{Request, StatusCode};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::{
        ExportMetricsServiceRequest, ExportMetricsServiceResponse, metrics_service_server::MetricsService,
    },
    common::v1::KeyValue,
    metrics::v1::{AggregationTemporality, Metric, NumberDataPoint, metric::Data, number_data_point},
};
use prost::Message as _;
use tonic::{Response, Status};

use super::request::{body_of, texts};

/// A data point of an exported metric.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportedPoint {
    pub name: String,
    pub unit: String,
    /// The service that exported it.
    pub service: String,
    /// Its attributes, as text.
    pub attributes: BTreeMap<String, String>,
    /// The number, or the count of a histogram.
    pub value: f64,
    /// Whether it counts since the export before, and not since the start.
    pub is_delta: bool,
}

/// Every point that arrived.
#[derive(Debug, Clone, Default)]
pub(super) struct Received(Arc<Mutex<Vec<ExportedPoint>>>);

impl Received {
    pub(super) fn points(&self) -> Vec<ExportedPoint> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, export: ExportMetricsServiceRequest) {
        for resource in export.resource_metrics {
            let attributes = resource.resource.map(|r| texts(r.attributes)).unwrap_or_default();
            let service = attributes.get("service.name").cloned().unwrap_or_default();
            for metric in resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
                let points = points(metric, &service);
                self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(points);
            }
        }
    }
}

fn points(metric: Metric, service: &str) -> Vec<ExportedPoint> {
    let (name, unit, is_delta) = (metric.name, metric.unit, is_delta(metric.data.as_ref()));
    let point = |attributes: Vec<KeyValue>, value| ExportedPoint {
        name: name.clone(),
        unit: unit.clone(),
        service: service.to_owned(),
        attributes: texts(attributes),
        value,
        is_delta,
    };
    let number = |data: NumberDataPoint| {
        let value = match data.value {
            Some(number_data_point::Value::AsDouble(value)) => value,
            #[expect(clippy::cast_precision_loss, reason = "tests count no further than 2^53")]
            Some(number_data_point::Value::AsInt(value)) => value as f64,
            None => 0.0,
        };
        point(data.attributes, value)
    };
    match metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.into_iter().map(number).collect(),
        Some(Data::Sum(sum)) => sum.data_points.into_iter().map(number).collect(),
        #[expect(clippy::cast_precision_loss, reason = "tests count no further than 2^53")]
        Some(Data::Histogram(histogram)) => {
            histogram.data_points.into_iter().map(|data| point(data.attributes, data.count as f64)).collect()
        }
        _ => vec![],
    }
}

fn is_delta(data: Option<&Data>) -> bool {
    let temporality = match data {
        Some(Data::Sum(sum)) => sum.aggregation_temporality,
        Some(Data::Histogram(histogram)) => histogram.aggregation_temporality,
        _ => return false,
    };
    temporality == AggregationTemporality::Delta as i32
}

pub(super) async fn over_http(received: Received, request: Request<Body>) -> StatusCode {
    let body = body_of(request).await;
    let Ok(export) = ExportMetricsServiceRequest::decode(body.as_slice()) else { return StatusCode::BAD_REQUEST };
    received.keep(export);
    StatusCode::OK
}

#[tonic::async_trait]
impl MetricsService for Received {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.keep(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

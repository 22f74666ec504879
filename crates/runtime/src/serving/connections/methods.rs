//! The gRPC methods that a process may serve, by their paths.

use std::{collections::HashMap, sync::Arc};

use prost::Message as _;
use prost_types::FileDescriptorSet;

/// Methods of the gRPC ecosystem, which are not in the descriptors of the API: the path, and whether the client
/// streams.
const OTHERS: [(&str, bool); 4] = [
    ("/grpc.health.v1.Health/Check", false),
    ("/grpc.health.v1.Health/Watch", false),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", true),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", true),
];

/// Each method with its full name, and whether its client streams.
#[derive(Debug)]
pub(crate) struct Methods(HashMap<String, (Arc<str>, bool)>);

impl Methods {
    /// The methods of the API and of the gRPC ecosystem.
    pub(crate) fn of(descriptors: &[u8]) -> Result<Self, prost::DecodeError> {
        let named = |path: String, streams| {
            let name = path.trim_start_matches('/').into();
            (path, (name, streams))
        };
        let mut all: HashMap<_, _> = OTHERS.map(|(path, streams)| named(path.to_owned(), streams)).into();
        for file in FileDescriptorSet::decode(descriptors)?.file {
            for service in &file.service {
                all.extend(service.method.iter().map(|method| {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    named(path, method.client_streaming())
                }));
            }
        }
        Ok(Self(all))
    }

    /// Whether a client may send for as long as it likes.
    pub(crate) fn streams(&self, path: &str) -> bool {
        self.0.get(path).is_some_and(|(_, streams)| *streams)
    }

    /// The name of a method, such as `leadline.v1.IngestService/PublishLead`; `None` if there is no such method.
    pub(crate) fn name(&self, path: &str) -> Option<&Arc<str>> {
        self.0.get(path).map(|(name, _)| name)
    }
}

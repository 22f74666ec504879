//! The methods of the API, read from its descriptors.

use std::collections::HashMap;

use prost_reflect::{DescriptorError, DescriptorPool, MethodDescriptor};
use prost_types::method_options::IdempotencyLevel;

/// The package of the API.
const PACKAGE: &str = "leadline.v1";

/// The methods of the API by path.
#[derive(Debug)]
pub(crate) struct Methods {
    pool: DescriptorPool,
    by_path: HashMap<String, Served>,
    served: Vec<String>,
}

/// A method, and whether this process serves it.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) method: MethodDescriptor,
    is_served: bool,
}

/// Why this process does not serve a path.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unserved {
    #[error("there is no such method; leadline call lists them")]
    Unknown,
    /// Another process serves the method.
    #[error("this process does not serve {service}; it serves {}", .served.join(", "))]
    Elsewhere { service: String, served: Vec<String> },
}

impl Methods {
    pub(crate) fn of_api() -> Result<Self, DescriptorError> {
        let pool = DescriptorPool::decode(api::DESCRIPTORS)?;
        let services = pool.services().filter(|service| service.package_name() == PACKAGE);
        let methods = services.flat_map(|service| service.methods().collect::<Vec<_>>());
        let by_path = methods.map(|method| (path(&method), Served { method, is_served: false })).collect();
        Ok(Self { by_path, served: vec![], pool })
    }

    /// Marks the methods of these services as served by this process.
    pub(crate) fn serve(&mut self, services: &[&str]) {
        for served in self.by_path.values_mut() {
            served.is_served = services.contains(&served.method.parent_service().full_name());
        }
        self.served = services.iter().map(|service| (*service).to_owned()).collect();
    }

    /// The names of all services of the API.
    pub(crate) fn services(&self) -> Vec<String> {
        let names = self.by_path.values().map(|served| served.method.parent_service().full_name().to_owned());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names.dedup();
        names
    }

    pub(crate) const fn pool(&self) -> &DescriptorPool {
        &self.pool
    }

    /// The methods that this process serves, in the order of their paths.
    pub(crate) fn served(&self) -> Vec<MethodDescriptor> {
        let mut served: Vec<_> = self.by_path.iter().filter(|(_, served)| served.is_served).collect();
        served.sort_by_key(|(path, _)| path.as_str());
        served.into_iter().map(|(_, served)| served.method.clone()).collect()
    }

    pub(crate) fn find(&self, path: &str) -> Result<&Served, Unserved> {
        let found = self.by_path.get(path).ok_or(Unserved::Unknown)?;
        if found.is_served {
            return Ok(found);
        }
        let service = found.method.parent_service().name().to_owned();
        Err(Unserved::Elsewhere { service, served: self.served.clone() })
    }
}

/// The path of a method, such as `/leadline.v1.LeadService/GetLead`.
fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// Whether the method changes nothing, so that it may be called with GET.
pub(crate) fn changes_nothing(method: &MethodDescriptor) -> bool {
    let options = method.method_descriptor_proto().options.as_ref();
    options.is_some_and(|options| options.idempotency_level() == IdempotencyLevel::NoSideEffects)
}

pub(crate) fn is_unary(method: &MethodDescriptor) -> bool {
    !method.is_client_streaming() && !method.is_server_streaming()
}

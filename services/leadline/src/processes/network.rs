//! The option for the networks that destinations may be in.

use clap::Args;
use domain::Guard;
use ipnet::IpNet;

/// Query applies the option when a destination is configured, and the dispatcher before each request.
#[derive(Debug, Args)]
pub(crate) struct NetworkOptions {
    /// Networks that destinations may be in although they are not public, e.g. 127.0.0.0/8,10.1.0.0/16; the same for
    /// dispatcher and query
    #[arg(long, env = "LEADLINE_ALLOW_NETWORK", value_name = "CIDR", value_delimiter = ',')]
    allow_network: Vec<IpNet>,
}

impl NetworkOptions {
    /// The guard that decides which addresses may be called.
    pub(crate) fn guard(&self) -> Guard {
        Guard::new(self.allow_network.clone())
    }
}

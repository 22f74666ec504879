//! How much an account may have, as the operator sets it.

use clap::builder::TypedValueParser as _;
use domain::registry::Limits;

/// How much an account may have.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(id = "limits")]
pub struct Options {
    /// Destinations of an account
    #[arg(long, env = "LEADLINE_MAX_DESTINATIONS", default_value_t = Limits::default().destinations, value_name = "N",
          value_parser = at_least_one())]
    max_destinations: usize,
    /// Deliveries of one event: destinations of an account that may want the same events
    ///
    /// It is looked at when a destination is made or changed, so an event that is published is never cut short.
    #[arg(long, env = "LEADLINE_MAX_DELIVERIES_PER_EVENT", value_name = "N", value_parser = at_least_one(),
          default_value_t = Limits::default().deliveries_per_event)]
    max_deliveries_per_event: usize,
    /// Bytes of all URLs and body templates of an account
    #[arg(long, env = "LEADLINE_MAX_TEMPLATE_BYTES", value_name = "BYTES", value_parser = at_least_one(),
          default_value_t = Limits::default().template_bytes)]
    max_template_bytes: usize,
    /// Clients of an account
    #[arg(long, env = "LEADLINE_MAX_CLIENTS", default_value_t = Limits::default().clients, value_name = "N",
          value_parser = at_least_one())]
    max_clients: usize,
    /// Interfaces of an account
    #[arg(long, env = "LEADLINE_MAX_INTERFACES", default_value_t = Limits::default().interfaces, value_name = "N",
          value_parser = at_least_one())]
    max_interfaces: usize,
    /// Tokens of an account
    #[arg(long, env = "LEADLINE_MAX_TOKENS", default_value_t = Limits::default().tokens, value_name = "N",
          value_parser = at_least_one())]
    max_tokens: usize,
}

fn at_least_one() -> impl clap::builder::TypedValueParser<Value = usize> {
    clap::value_parser!(u32).range(1..).map(|value| value as usize)
}

impl From<Options> for Limits {
    fn from(options: Options) -> Self {
        Self {
            destinations: options.max_destinations,
            deliveries_per_event: options.max_deliveries_per_event,
            template_bytes: options.max_template_bytes,
            clients: options.max_clients,
            interfaces: options.max_interfaces,
            tokens: options.max_tokens,
        }
    }
}

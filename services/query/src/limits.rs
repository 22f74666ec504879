//! Limits of an account, as the operator sets them.

use clap::builder::TypedValueParser as _;
use domain::registry::Limits;

/// Limits of an account.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(id = "limits")]
pub struct Options {
    /// Maximum number of destinations of an account
    #[arg(long, env = "LEADLINE_MAX_DESTINATIONS", default_value_t = Limits::default().destinations, value_name = "N",
          value_parser = at_least_one())]
    max_destinations: usize,
    /// Maximum number of deliveries of one event: destinations of an account that may want the same events
    ///
    /// The limit is checked when a destination is created or changed, so the deliveries of a published event are
    /// never cut short.
    #[arg(long, env = "LEADLINE_MAX_DELIVERIES_PER_EVENT", value_name = "N", value_parser = at_least_one(),
          default_value_t = Limits::default().deliveries_per_event)]
    max_deliveries_per_event: usize,
    /// Maximum number of bytes of all URLs, templates, conditions and certificates of an account
    #[arg(long, env = "LEADLINE_MAX_TEMPLATE_BYTES", value_name = "BYTES", value_parser = at_least_one(),
          default_value_t = Limits::default().template_bytes)]
    max_template_bytes: usize,
    /// Maximum number of clients of an account
    #[arg(long, env = "LEADLINE_MAX_CLIENTS", default_value_t = Limits::default().clients, value_name = "N",
          value_parser = at_least_one())]
    max_clients: usize,
    /// Maximum number of interfaces of an account
    #[arg(long, env = "LEADLINE_MAX_INTERFACES", default_value_t = Limits::default().interfaces, value_name = "N",
          value_parser = at_least_one())]
    max_interfaces: usize,
    /// Maximum number of tokens of an account
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

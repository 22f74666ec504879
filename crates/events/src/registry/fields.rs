//! Fields that several facts about the configuration have.

use domain::{AccountId, ApiUserId, ClientId, DestinationId, InterfaceId, OptOutId, TokenId};

use crate::{primitives::parsed, record::RecordError, stored};

pub(super) const FACT: &str = "registry fact";

pub(super) fn account(text: &str) -> Result<AccountId, RecordError> {
    parsed(FACT, "account", text, AccountId::parse)
}

pub(super) fn client(text: &str) -> Result<ClientId, RecordError> {
    parsed(FACT, "client", text, ClientId::parse)
}

pub(super) fn api_user(text: &str) -> Result<ApiUserId, RecordError> {
    parsed(FACT, "api_user", text, ApiUserId::parse)
}

pub(super) fn interface(text: &str) -> Result<InterfaceId, RecordError> {
    parsed(FACT, "interface", text, InterfaceId::parse)
}

pub(super) fn destination(text: &str) -> Result<DestinationId, RecordError> {
    parsed(FACT, "destination", text, DestinationId::parse)
}

pub(super) fn token(text: &str) -> Result<TokenId, RecordError> {
    parsed(FACT, "token", text, TokenId::parse)
}

pub(super) fn opt_out(text: &str) -> Result<OptOutId, RecordError> {
    parsed(FACT, "opt_out", text, OptOutId::parse)
}

pub(super) fn header_to_stored((name, value): &(String, String)) -> stored::Header {
    stored::Header { name: name.clone(), value: value.clone() }
}

//! `leadline clients`, `interfaces` and `api-users`: the resources of an account.

mod api_users;
mod args;
mod clients;
mod interfaces;

pub(crate) use self::{api_users::ApiUsers, clients::Clients, interfaces::Interfaces};

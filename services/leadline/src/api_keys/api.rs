//! Creates, lists and revokes keys over the API.

use api::Scope;
use clap::Args;
use tonic::Code;

use crate::{
    remote::session::{ForAccount, Paging, Remote, within},
    terminal::{
        output::{note, print},
        table::{Cell, Column, Tone, fixed, flexible},
        time_args::{future, shown},
    },
};

#[derive(Debug, Args)]
pub(super) struct List {
    /// Include revoked and expired keys
    #[arg(long)]
    ended: bool,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Name of the key; the log shows it beside the calls made with the key
    name: String,
    /// Scopes of the key: publish, form (only forms of web pages), read, operate (includes read), admin (includes all
    /// of these), payload (to see what was published)
    #[arg(long, required = true, value_name = "SCOPE", value_delimiter = ',', value_parser = scope)]
    scope: Vec<Scope>,
    /// When the key expires: 90d (from now), 2027-01-31, or RFC 3339 [default: never]
    #[arg(long, value_name = "TIME", value_parser = future)]
    expires: Option<jiff::Timestamp>,
    /// Create a platform-wide key: for all accounts and the installation itself
    #[arg(long, conflicts_with = "account")]
    platform: bool,
    /// Bind the key to a client of the account: it sees the leads, deliveries and destinations of this client only
    #[arg(long, value_name = "ID", conflicts_with = "platform")]
    client: Option<String>,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The id of the key, the part between ll_ and the next _, or at least its first four characters
    #[arg(value_name = "KEY-ID")]
    key_id: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub(super) struct Whoami {
    #[command(flatten)]
    remote: Remote,
}

impl List {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let session = self.remote.connect().await?;
        let (account_id, include_ended) = (session.account_of_filter(&self.account), self.ended);
        let page = async |page_size, page_token| {
            let account_id = account_id.clone();
            let request = api::ListKeysRequest { account_id, include_ended, page_size, page_token };
            let page = session.access().list_keys(within(request)).await?.into_inner();
            Ok((page.keys, page.next_page_token))
        };
        session.list(&self.paging, COLUMNS, row, page).await
    }
}

impl Create {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let session = self.remote.connect().await?;
        let account_id = if self.platform { String::new() } else { session.account(&self.account).await? };
        let request = api::CreateKeyRequest {
            account_id,
            name: self.name,
            scopes: self.scope.into_iter().map(Into::into).collect(),
            expires_at: self.expires.map(api::timestamp_to_api),
            client_id: self.client.unwrap_or_default(),
        };
        let made = session.access().create_key(within(request)).await?.into_inner();
        if session.out.is_json() {
            return session.out.json(&made);
        }
        let key = made.key.unwrap_or_default();
        let of = if key.account_id.is_empty() { "the whole platform" } else { &key.account_id };
        let scopes = scopes(&key);
        note(&format!(
            "Key {} ({}) for {of}: {scopes}. It is shown only here; keep it like a password.",
            key.key_id, key.name
        ));
        print(&made.secret)
    }
}

impl Revoke {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let session = self.remote.connect().await?;
        let revoke = async |key_id: String| session.access().revoke_key(within(api::RevokeKeyRequest { key_id })).await;
        let key = match revoke(self.key_id.clone()).await {
            Err(missing) if missing.code() == Code::NotFound => {
                let Some(key_id) = session.key_beginning(&self.key_id).await? else { return Err(missing.into()) };
                revoke(key_id).await?
            }
            revoked => revoked?,
        };
        let key = key.into_inner();
        session.one(COLUMNS, row, &key)
    }
}

impl Whoami {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let session = self.remote.connect().await?;
        let key = session.access().who_am_i(within(api::WhoAmIRequest {})).await?.into_inner();
        session.one(COLUMNS, row, &key)
    }
}

const COLUMNS: [Column; 6] =
    [fixed("KEY"), flexible("NAME"), flexible("ACCOUNT"), fixed("SCOPES"), fixed("CREATED"), flexible("STATE")];

fn row(key: &api::Key) -> Vec<Cell> {
    let account = match (key.account_id.as_str(), key.client_id.as_str()) {
        ("", _) => "(all)".to_owned(),
        (account, "") => account.to_owned(),
        (account, client) => format!("{account}, client {client}"),
    };
    vec![
        key.key_id.as_str().into(),
        key.name.as_str().into(),
        account.into(),
        scopes(key).into(),
        shown(key.created_at.as_ref()).into(),
        state(key),
    ]
}

fn state(key: &api::Key) -> Cell {
    let expires = key.expires_at.as_ref().and_then(api::timestamp);
    match (&key.revoked_at, expires) {
        (Some(at), _) => Cell::toned(format!("revoked {}", shown(Some(at))), Tone::Bad),
        (None, Some(at)) if at <= jiff::Timestamp::now() => Cell::toned("expired", Tone::Bad),
        (None, Some(_)) => format!("until {}", shown(key.expires_at.as_ref())).into(),
        (None, None) => "valid".into(),
    }
}

fn scopes(key: &api::Key) -> String {
    key.scopes()
        .map(|scope| scope.as_str_name().trim_start_matches(PREFIX).to_lowercase())
        .collect::<Vec<_>>()
        .join(",")
}

const PREFIX: &str = "SCOPE_";

fn scope(text: &str) -> Result<Scope, String> {
    let found = Scope::from_str_name(&format!("{PREFIX}{}", text.to_uppercase()));
    let known = found.filter(|scope| *scope != Scope::Unspecified);
    known.ok_or_else(|| "is none of publish, read, operate, admin, payload, form".to_owned())
}

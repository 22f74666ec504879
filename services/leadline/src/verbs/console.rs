//! `leadline console`: prints a link that logs in to the console.

use clap::Args;

use crate::{
    remote::session::{Remote, within},
    terminal::{
        output::{note, print},
        time_args::shown,
    },
};

/// Print a link that logs its reader in to the console, once
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  leadline console --person 'Ada Lovelace'")]
pub(crate) struct Console {
    /// Name of the person who will use it; the audit log names the key and this person
    #[arg(long, default_value = "", value_name = "NAME")]
    person: String,
    #[command(flatten)]
    remote: Remote,
}

impl Console {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let session = self.remote.connect().await?;
        let request = api::CreateConsoleLinkRequest { person: self.person };
        let link = session.access().create_console_link(within(request)).await?.into_inner();
        if session.out.is_json() {
            return session.out.json(&link);
        }
        let (until, end) = (shown(link.expires_at.as_ref()), shown(link.session_expires_at.as_ref()));
        note(&format!("Open it once, until {until}. The session ends {end}. Keep the link like a password."));
        print(&link.url)
    }
}

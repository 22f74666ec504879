//! `leadline context`: saves connections under names, so that commands need no options for them.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    remote::{client::ClientOptions, contexts::Contexts},
    terminal::{
        errors::usage,
        output::{Out, print},
        table::{Cell, Table, fixed, flexible},
    },
};

/// Name connections, and choose the one that commands use.
#[derive(Debug, Args)]
pub(crate) struct ContextVerbs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Save the given connection under a name; the first saved one is used from then on
    #[command(
        after_help = "Example:\n  leadline context add live --grpc-url https://leads.example:9090 --api-key ll_… --account acme"
    )]
    Add(Add),
    /// Use a context for the following commands
    #[command(name = "use", after_help = "Example:\n  leadline context use live")]
    Use(Named),
    /// List contexts; a star marks the one in use
    #[command(after_help = "Example:\n  leadline context list")]
    List(List),
    /// Remove a context with its API key
    #[command(after_help = "Example:\n  leadline context remove live")]
    Remove(Named),
}

#[derive(Debug, Args)]
struct Add {
    name: String,
    /// The account of commands that name none
    #[arg(long, value_name = "ID", env = "LEADLINE_ACCOUNT")]
    account: Option<String>,
    #[command(flatten)]
    client: ClientOptions,
}

#[derive(Debug, Args)]
struct Named {
    name: String,
}

#[derive(Debug, Args)]
struct List {
    /// Print JSON, one object on each line
    #[arg(long)]
    json: bool,
}

impl ContextVerbs {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut contexts = Contexts::read()?;
        match self.verb {
            Verb::Add(Add { name, account, client }) => {
                contexts.contexts.insert(name.clone(), client.described(account.as_deref())?);
                contexts.current.get_or_insert_with(|| name.clone());
                contexts.write()?;
                print(&format!("Context {name} is saved."))
            }
            Verb::Use(Named { name }) => {
                if !contexts.contexts.contains_key(&name) {
                    return Err(usage(format!("there is no context {name}; leadline context list shows all contexts")));
                }
                contexts.current = Some(name.clone());
                contexts.write()?;
                print(&format!("Commands use context {name} from now on."))
            }
            Verb::List(list) => list.run(&contexts),
            Verb::Remove(Named { name }) => {
                if contexts.contexts.remove(&name).is_none() {
                    return Err(usage(format!("there is no context {name}; leadline context list shows all contexts")));
                }
                contexts.current = contexts.current.filter(|current| *current != name);
                contexts.write()?;
                print(&format!("Context {name} is removed."))
            }
        }
    }
}

impl List {
    fn run(&self, contexts: &Contexts) -> anyhow::Result<()> {
        let in_use = |name: &str| contexts.current.as_deref() == Some(name);
        if self.json {
            return contexts.contexts.iter().try_for_each(|(name, context)| {
                let (url, account) = (&context.grpc_url, &context.account);
                print(&json!({"name": name, "grpc_url": url, "account": account, "in_use": in_use(name)}).to_string())
            });
        }
        let rows: Vec<Vec<Cell>> = contexts
            .contexts
            .iter()
            .map(|(name, context)| {
                let key = if context.api_key.is_some() { "yes" } else { "no" };
                let account = context.account.clone().unwrap_or_default();
                let star = if in_use(name) { "*" } else { "" };
                vec![star.into(), name.into(), context.grpc_url.as_str().into(), account.into(), key.into()]
            })
            .collect();
        let columns = [fixed(""), fixed("NAME"), flexible("URL"), fixed("ACCOUNT"), fixed("KEY")];
        Table::new(columns).print(&Out::new(false, false), &rows)
    }
}

//! Output: lines and tables for people, JSON for scripts.

use std::{
    io::{ErrorKind, IsTerminal as _, Write as _},
    sync::LazyLock,
};

use anyhow::Context as _;
use prost::{Message, Name};
use prost_reflect::{DescriptorError, DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde::de::DeserializeSeed as _;
use serde_json::Value;

use crate::terminal::errors::ReaderGone;

#[derive(Debug)]
pub(crate) struct Out {
    json: bool,
    colours: bool,
    /// The width to which tables are cut; `None` if they are not cut.
    width: Option<usize>,
}

impl Out {
    pub(crate) fn new(json: bool, wide: bool) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_terminal = std::io::stdout().is_terminal();
        let width = terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
        let width = width.filter(|_| is_terminal && !wide);
        Self { json, colours: !json && !unwanted && is_terminal, width }
    }

    /// The width to which tables are cut; `None` if they are not cut.
    pub(crate) fn width(&self) -> Option<usize> {
        self.width
    }

    /// Whether the output is JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    pub(crate) fn has_colours(&self) -> bool {
        self.colours
    }

    /// Prints a message as JSON on one line.
    pub(crate) fn json_line<M: Message + Name>(&self, message: &M) -> anyhow::Result<()> {
        print(&in_json(message)?.to_string())
    }

    /// Prints a message as a JSON document.
    pub(crate) fn json<M: Message + Name>(&self, message: &M) -> anyhow::Result<()> {
        print(&format!("{:#}", in_json(message)?))
    }
}

pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    write(format!("{text}\n"))
}

/// A text from outside without control characters, which a terminal would obey.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { ' ' } else { c }).collect()
}

pub(crate) fn write(text: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        written => written.context("standard output cannot be written"),
    }
}

/// A count with its noun: `1 lead`, `2 leads`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Prints to standard error, because a note is for the person at the terminal and not part of the answer.
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// Every message of the API, by name. Decoding takes milliseconds, so it is done once and not for each row.
pub(crate) fn descriptors() -> anyhow::Result<&'static DescriptorPool> {
    static POOL: LazyLock<Result<DescriptorPool, DescriptorError>> =
        LazyLock::new(|| DescriptorPool::decode(api::DESCRIPTORS));
    POOL.as_ref().context("the API's descriptors are broken")
}

/// A message by the JSON mapping of protobuf, with the field names of the `.proto` files and without empty fields.
pub(crate) fn in_json<M: Message + Name>(message: &M) -> anyhow::Result<Value> {
    let mut shown = DynamicMessage::new(descriptor_of::<M>()?);
    shown.merge(message.encode_to_vec().as_slice())?;
    message_to_json(&shown)
}

pub(crate) fn message_to_json(message: &DynamicMessage) -> anyhow::Result<Value> {
    let options = SerializeOptions::new().skip_default_fields(true).use_proto_field_name(true);
    Ok(message.serialize_with_options(serde_json::value::Serializer, &options)?)
}

pub(crate) fn from_json<M: Message + Name + Default>(value: Value) -> anyhow::Result<M> {
    let given = descriptor_of::<M>()?.deserialize(value)?;
    Ok(given.transcode_to()?)
}

fn descriptor_of<M: Name>() -> anyhow::Result<MessageDescriptor> {
    let name = M::full_name();
    descriptors()?.get_message_by_name(&name).with_context(|| format!("the API has no {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pools are equal only if they are the same object, not if each was decoded separately.
    #[test]
    fn rows_share_one_decoded_pool() {
        assert!(DescriptorPool::decode(api::DESCRIPTORS).unwrap() != DescriptorPool::decode(api::DESCRIPTORS).unwrap());
        let rows = [descriptor_of::<api::Lead>(), descriptor_of::<api::Lead>(), descriptor_of::<api::Delivery>()];
        for row in rows {
            assert!(row.unwrap().parent_pool() == descriptors().unwrap());
        }
    }
}

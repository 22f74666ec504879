//! The comments of the `.proto` files.

use std::collections::HashMap;

use prost_reflect::{
    DescriptorPool, EnumValueDescriptor, FieldDescriptor, MessageDescriptor, MethodDescriptor, ServiceDescriptor,
};

/// The comments of a pool, by the file and the path of the element that each describes
/// (`google.protobuf.SourceCodeInfo`).
#[derive(Debug, Default)]
pub(crate) struct Comments(HashMap<(String, Vec<i32>), String>);

impl Comments {
    pub(crate) fn of(pool: &DescriptorPool) -> Self {
        let mut comments = HashMap::new();
        for file in pool.file_descriptor_protos() {
            for location in file.source_code_info.iter().flat_map(|info| &info.location) {
                let text = one_line(location.leading_comments());
                if !text.is_empty() {
                    comments.insert((file.name().to_owned(), location.path.clone()), text);
                }
            }
        }
        Self(comments)
    }

    pub(crate) fn of_service(&self, service: &ServiceDescriptor) -> String {
        self.at(service.parent_file().name(), service.path())
    }

    pub(crate) fn of_method(&self, method: &MethodDescriptor) -> String {
        self.at(method.parent_service().parent_file().name(), method.path())
    }

    pub(crate) fn of_message(&self, message: &MessageDescriptor) -> String {
        self.at(message.parent_file().name(), message.path())
    }

    pub(crate) fn of_field(&self, field: &FieldDescriptor) -> String {
        self.at(field.parent_message().parent_file().name(), field.path())
    }

    pub(crate) fn of_value(&self, value: &EnumValueDescriptor) -> String {
        self.at(value.parent_enum().parent_file().name(), value.path())
    }

    fn at(&self, file: &str, path: &[i32]) -> String {
        self.0.get(&(file.to_owned(), path.to_vec())).cloned().unwrap_or_default()
    }
}

/// A comment without the line breaks of its source.
fn one_line(comment: &str) -> String {
    comment.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
}

//! The fields of a form: those of the visitor become the payload, those with a reserved name control the request.

use std::convert::Infallible;

use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use multer::Multipart;
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use tonic::Code;
use url::form_urlencoded;

use super::refusal::Refusal;

/// Maximum number of fields. The largest forms of the web have a few hundred.
const MAX_FIELDS: usize = 1_000;
const URLENCODED: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data";

/// A submitted form.
#[derive(Debug, Default)]
pub(super) struct Form {
    /// The form key, if the address of the form does not have it.
    pub(super) key: Option<String>,
    pub(super) event_id: Option<String>,
    pub(super) event_type: Option<String>,
    pub(super) client: Option<String>,
    /// The address that the browser is redirected to.
    pub(super) redirect: Option<String>,
    /// The value of a field that people do not see, so only programs fill it.
    honeypot: Option<String>,
    fields: Fields,
}

/// The visitor's fields, in the order of their first values.
#[derive(Debug, Default)]
struct Fields(Vec<Field>);

#[derive(Debug)]
struct Field {
    /// Without `[]` at its end.
    name: String,
    values: Vec<String>,
    /// Whether the name ended with `[]`.
    is_list: bool,
}

impl Form {
    /// Parses a body as its content type says.
    ///
    /// # Errors
    /// If the body is not a form, has files, or has too many fields.
    pub(super) async fn read(headers: &HeaderMap, body: Bytes) -> Result<Self, Refusal> {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case(URLENCODED) {
            let mut form = Self::default();
            for (name, value) in form_urlencoded::parse(&body) {
                form.add(name.into_owned(), value.into_owned())?;
            }
            return Ok(form);
        }
        if media_type.eq_ignore_ascii_case(MULTIPART) {
            return Self::multipart(content_type, body).await;
        }
        let problem = format!("a form is sent as {URLENCODED} or {MULTIPART}; POST /v1/leads takes JSON");
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Err(Refusal::new(status, Code::InvalidArgument, "CONTENT_TYPE_INVALID", problem))
    }

    async fn multipart(content_type: &str, body: Bytes) -> Result<Self, Refusal> {
        let invalid =
            |error: multer::Error| Refusal::invalid(format!("the form cannot be read as {MULTIPART}: {error}"));
        let boundary = multer::parse_boundary(content_type).map_err(invalid)?;
        let stream = futures::stream::iter([Ok::<_, Infallible>(body)]);
        let (mut form, mut parts) = (Self::default(), Multipart::new(stream, boundary));
        while let Some(part) = parts.next_field().await.map_err(invalid)? {
            let name = part.name().unwrap_or_default().to_owned();
            let is_file = part.file_name().is_some();
            let value = part.text().await.map_err(invalid)?;
            if !is_file {
                form.add(name, value)?;
            } else if !value.is_empty() {
                let problem = format!("the field {name:?} is a file, and forms with files are not accepted");
                return Err(Refusal::invalid(problem));
            }
        }
        Ok(form)
    }

    fn add(&mut self, name: String, value: String) -> Result<(), Refusal> {
        match name.as_str() {
            "_key" => self.key = Some(value),
            "_event_id" => self.event_id = Some(value),
            "_type" => self.event_type = Some(value),
            "_client" => self.client = Some(value),
            "_redirect" => self.redirect = Some(value).filter(|address| !address.is_empty()),
            "_honeypot" => self.honeypot = Some(value),
            _ => self.fields.add(name, value)?,
        }
        Ok(())
    }

    /// Whether a program filled the form.
    pub(super) fn is_spam(&self) -> bool {
        self.honeypot.as_ref().is_some_and(|value| !value.is_empty())
    }

    /// The visitor's fields as a JSON object: a text for each name, or an array if the name occurs several times or
    /// ends with `[]`.
    pub(super) fn payload(&self) -> Bytes {
        serde_json::to_vec(&self.fields).unwrap_or_default().into()
    }
}

impl Fields {
    fn add(&mut self, name: String, value: String) -> Result<(), Refusal> {
        let (name, is_list) = match name.strip_suffix("[]") {
            Some(bare) => (bare.to_owned(), true),
            None => (name, false),
        };
        if let Some(known) = self.0.iter_mut().find(|known| known.name == name) {
            known.values.push(value);
            known.is_list |= is_list;
        } else if self.0.len() < MAX_FIELDS {
            self.0.push(Field { name, values: vec![value], is_list });
        } else {
            let problem = format!("the form has more than {MAX_FIELDS} fields, which is the limit");
            return Err(Refusal::invalid(problem));
        }
        Ok(())
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.0.len()))?;
        for Field { name, values, is_list } in &self.0 {
            match values.as_slice() {
                [value] if !is_list => object.serialize_entry(name, value)?,
                values => object.serialize_entry(name, values)?,
            }
        }
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(content_type: &str, body: &str) -> Result<Form, Refusal> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, content_type.parse().unwrap())]);
        Form::read(&headers, Bytes::copy_from_slice(body.as_bytes())).await
    }

    fn text(form: &Form) -> String {
        String::from_utf8(form.payload().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn fields_keep_their_order_and_repeated_ones_are_arrays() {
        let form = read(URLENCODED, "name=Ada+L%C3%B6v&wish=a&zip=012&wish=b&topic[]=x&_type=quote.asked&empty=").await;
        let form = form.unwrap();
        assert_eq!(text(&form), r#"{"name":"Ada Löv","wish":["a","b"],"zip":"012","topic":["x"],"empty":""}"#);
        assert_eq!(form.event_type.as_deref(), Some("quote.asked"));
        assert!(!form.is_spam());
        assert!(read(URLENCODED, "_honeypot=x").await.unwrap().is_spam());
        let form = read(URLENCODED, "topic=x&topic[]=y&one[]=z").await.unwrap();
        assert_eq!(text(&form), r#"{"topic":["x","y"],"one":["z"]}"#, "a name occurs once");
    }

    #[tokio::test]
    async fn a_multipart_form_is_the_same_and_takes_no_file() {
        let part = |disposition: &str, value: &str| {
            format!("--b\r\ncontent-disposition: form-data; {disposition}\r\n\r\n{value}\r\n")
        };
        let named = part("name=\"name\"", "Ada");
        let content_type = "multipart/form-data; boundary=b";
        // A browser sends a file input without a file like this.
        let good = format!("{named}{}--b--\r\n", part("name=\"cv\"; filename=\"\"", ""));
        assert_eq!(text(&read(content_type, &good).await.unwrap()), r#"{"name":"Ada"}"#);
        let file = format!("{named}{}--b--\r\n", part("name=\"cv\"; filename=\"cv.txt\"", "text"));
        assert!(read(content_type, &file).await.unwrap_err().message.contains("\"cv\" is a file"));
        for broken in ["", "--b\r\n", &named] {
            assert_eq!(read(content_type, broken).await.unwrap_err().status, StatusCode::BAD_REQUEST, "{broken}");
        }
        assert_eq!(read("multipart/form-data", &good).await.unwrap_err().status, StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn another_content_type_and_too_many_fields_are_refused() {
        assert_eq!(read("application/json", "{}").await.unwrap_err().status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let many: String = (0..=MAX_FIELDS).map(|index| format!("f{index}=1&")).collect();
        assert!(read(URLENCODED, &many).await.unwrap_err().message.contains("1000 fields"));
    }
}

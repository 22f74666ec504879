//! Bodies other than JSON, read by parsers of another language, and requests without a body.

use api::{DeliveryStatus, destination::Body};
use serde_json::{Value, json};
use testkit::{Receiver, receiver::Seen};
use tonic::Code;

use crate::{
    python::python,
    world::{ACCOUNT, World, event_json, some_destination},
};

/// Parses a body by its content type, with Python's standard library.
const PARSE: &str = r#"
import email, json, sys, urllib.parse, xml.etree.ElementTree as xml
kind, body = sys.argv[1], sys.stdin.buffer.read()
if kind.startswith("application/x-www-form-urlencoded"):
    read = urllib.parse.parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
elif kind.startswith("multipart/form-data"):
    whole = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    assert whole.is_multipart() and not whole.defects, whole.defects
    read = [(part.get_param("name", header="content-disposition"), part.get_payload(decode=True).decode())
            for part in whole.get_payload()]
else:
    read = [(element.tag, element.text, element.attrib) for element in xml.fromstring(body).iter()]
print(json.dumps(read))
"#;

fn parsed(request: &Seen) -> Value {
    serde_json::from_str(&python(PARSE, &[request.header("content-type")], &request.body)).unwrap()
}

fn preset(name: &str) -> Option<Body> {
    Some(Body::BodyPreset(name.into()))
}

fn template(text: &str) -> Option<Body> {
    Some(Body::BodyTemplate(text.into()))
}

/// The request that a destination gets for a lead with this payload.
async fn sent(world: &World, destination: api::Destination, payload: Value) -> Seen {
    let receiver = Receiver::start().await;
    let url =
        if destination.url.is_empty() { receiver.url() } else { format!("{}{}", receiver.url(), destination.url) };
    let id = world.destination_with(api::Destination { url, ..destination }).await;
    let event = format!("of-{id}");
    world.publish_with(&event, json!({ "payload": payload })).await;
    let filter = api::DeliveryFilter { event_id: event, destination_id: id.clone(), ..api::DeliveryFilter::default() };
    let request = api::ListDeliveriesRequest { filter: Some(filter), ..api::ListDeliveriesRequest::default() };
    testkit::wait::until("its delivery to succeed", crate::world::SOON, async || {
        let found = world.deliveries().list_deliveries(request.clone()).await.unwrap().into_inner().deliveries;
        match found.first() {
            Some(delivery) if delivery.status() == DeliveryStatus::Succeeded => Ok(()),
            _ => Err(found),
        }
    })
    .await;
    world.delete(&id).await;
    receiver.requests().remove(0)
}

#[tokio::test]
async fn leads_can_be_sent_as_forms() {
    let world = World::start().await;
    let payload = json!({"age": 31, "company": null, "name": "Ada & Co", "oid": "evil",
        "person": {"city": "Köln", "email": "ada+x@example.com"}, "tags": ["a", "b=c"]});
    // Salesforce Web-to-Lead: its own field names, and the organisation as a constant.
    let form = api::Form {
        fields: [("name", "last_name"), ("person.email", "email"), ("age", "")]
            .map(|(path, name)| api::FormField { path: path.into(), name: name.into() })
            .into(),
        constants: vec![api::FormConstant { name: "oid".into(), value: "00D000000000001".into() }],
        ..api::Form::default()
    };
    let destination = api::Destination { body: preset("form"), form: Some(form.clone()), ..some_destination() };
    let request = sent(&world, destination, payload.clone()).await;
    assert_eq!(request.header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(
        parsed(&request),
        json!([
            ["oid", "00D000000000001"],
            ["company", ""],
            ["last_name", "Ada & Co"],
            ["person[city]", "Köln"],
            ["email", "ada+x@example.com"],
            ["tags", "a"],
            ["tags", "b=c"]
        ])
    );

    let form = api::Form { nesting: "dots".into(), lists: "brackets".into(), only_fields: false, ..form };
    let destination = api::Destination { body: preset("multipart"), form: Some(form), ..some_destination() };
    let request = sent(&world, destination, payload).await;
    assert!(request.header("content-type").starts_with("multipart/form-data; boundary="));
    assert_eq!(
        parsed(&request),
        json!([
            ["oid", "00D000000000001"],
            ["company", ""],
            ["last_name", "Ada & Co"],
            ["person.city", "Köln"],
            ["email", "ada+x@example.com"],
            ["tags[]", "a"],
            ["tags[]", "b=c"]
        ])
    );
}

#[tokio::test]
async fn templates_escape_values_for_their_content_type() {
    let world = World::start().await;
    let payload = json!({"name": "Ada & Co", "note": "</note><admin/>", "phone": null});
    let of_type = |content_type: &str, text: &str| api::Destination {
        content_type: content_type.into(),
        body: template(text),
        ..some_destination()
    };
    let form = of_type("application/x-www-form-urlencoded", "oid=00D\n&last_name={{ payload.name }}\n");
    let request = sent(&world, form, payload.clone()).await;
    assert_eq!(request.header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(request.body, "oid=00D&last_name=Ada%20%26%20Co");
    assert_eq!(parsed(&request), json!([["oid", "00D"], ["last_name", "Ada & Co"]]));

    let adf = "<?ADF VERSION \"1.0\"?>\n<adf><prospect><customer><contact><name part=\"full\">{{ payload.name }}</name>\
               <phone>{{ payload.phone }}</phone><note by=\"{{ payload.name }}\">{{ payload.note }}</note></contact></customer>\
               </prospect></adf>";
    let request = sent(&world, of_type("text/xml; charset=utf-8", adf), payload.clone()).await;
    assert_eq!(request.header("content-type"), "text/xml; charset=utf-8");
    let read = parsed(&request);
    assert_eq!(read.as_array().unwrap().last().unwrap(), &json!(["note", "</note><admin/>", {"by": "Ada & Co"}]));
    assert_eq!(read.as_array().unwrap().len(), 7, "{read}");

    let text = "New lead: {{ payload.name }} {{ payload.phone }}\n{{ payload.note }}";
    let request = sent(&world, of_type("text/plain; charset=utf-8", text), payload.clone()).await;
    assert_eq!(request.body, "New lead: Ada & Co \n</note><admin/>");

    let json_api = r#"{"data": {"type": "leads", "attributes": {"name": {{ payload.name }}}}}"#;
    let request = sent(&world, of_type("application/vnd.api+json", json_api), payload).await;
    assert_eq!(request.header("content-type"), "application/vnd.api+json");
    assert_eq!(request.body, r#"{"data": {"type": "leads", "attributes": {"name": "Ada & Co"}}}"#);
}

#[tokio::test]
async fn get_and_delete_send_and_sign_an_empty_body() {
    let world = World::start().await;
    let token = api::CreateTokenRequest { account_id: ACCOUNT.into(), ..api::CreateTokenRequest::default() };
    let token = world.registry().create_token(token).await.unwrap().into_inner();
    let token_id = token.token.unwrap().token_id;
    for method in ["GET", "DELETE"] {
        let url = "/{{ lead.id }}?who={{ payload.name }}".to_owned();
        let destination =
            api::Destination { url, method: method.into(), token_id: token_id.clone(), ..some_destination() };
        let request = sent(&world, destination, json!({"name": "Ada & Co"})).await;
        assert_eq!(request.method, method);
        assert!(request.path.ends_with("?who=Ada%20%26%20Co"), "{}", request.path);
        assert_eq!(request.body.len(), 0);
        for absent in ["content-type", "content-length", "transfer-encoding"] {
            assert!(!request.headers.contains_key(absent), "{method}: {absent}");
        }
        let (id, timestamp) = (request.header("webhook-id"), request.header("webhook-timestamp").parse().unwrap());
        let verifier = token.secret.parse().unwrap();
        crypto::verify(&verifier, id, timestamp, b"", request.header("webhook-signature"), timestamp).unwrap();
    }
}

#[tokio::test]
async fn body_settings_change_separately_but_must_be_consistent() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let xml = "<lead>{{ payload.name }}</lead>";
    let destination = api::Destination {
        url: receiver.url(),
        content_type: "text/xml".into(),
        body: template(xml),
        ..some_destination()
    };
    let destination_id = world.destination_with(destination).await;
    let update = async |fields: &[&str], destination: api::Destination| {
        let paths = fields.iter().map(|field| (*field).to_owned()).collect();
        let named =
            api::Destination { account_id: ACCOUNT.into(), destination_id: destination_id.clone(), ..destination };
        let request = api::UpdateDestinationRequest {
            destination: Some(named),
            update_mask: Some(prost_types::FieldMask { paths }),
            ..Default::default()
        };
        world.registry().update_destination(request).await.map(tonic::Response::into_inner)
    };
    let default = api::Destination::default;
    // The template is checked as XML although the update does not name the content type.
    let other = "<lead name=\"{{ payload.name }}\"/>";
    let changed = update(&["body"], api::Destination { body: template(other), ..default() }).await.unwrap();
    assert_eq!((changed.content_type.as_str(), changed.body), ("text/xml", template(other)));
    for (fields, destination, expected) in [
        (&["body"][..], api::Destination { body: template("<lead>"), ..default() }, "is not XML"),
        (&["body"], api::Destination { body: preset("payload"), ..default() }, "content_type: text/xml is XML"),
        (&["content_type"], default(), "is not JSON"),
        (&["content_type"], api::Destination { content_type: "xml".into(), ..default() }, "is not a media type"),
        (&["method"], api::Destination { method: "GET".into(), ..default() }, "body: cannot be sent with GET"),
        (&["method"], api::Destination { method: "HEAD".into(), ..default() }, "method: \"HEAD\" is not one of POST"),
        (
            &["form"],
            api::Destination { form: Some(api::Form { only_fields: true, ..Default::default() }), ..default() },
            "form: is only for",
        ),
        (
            &["body"],
            api::Destination { body: preset("csv"), ..default() },
            "is not one of payload, envelope, slack, form, multipart",
        ),
    ] {
        let refused = update(fields, destination).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(expected), "{fields:?}: {refused}");
    }
    // The mapping stays while the body is a form, and is removed with it.
    let form = api::Form {
        nesting: "dots".into(),
        lists: "repeat".into(),
        fields: vec![api::FormField { path: "name".into(), name: "n".into() }],
        ..api::Form::default()
    };
    let as_form = api::Destination { body: preset("form"), form: Some(form.clone()), ..default() };
    let changed = update(&["body", "content_type", "form"], as_form).await.unwrap();
    assert_eq!((changed.content_type.as_str(), changed.form.as_ref()), ("", Some(&form)));
    let changed = update(&["body"], api::Destination { body: preset("multipart"), ..default() }).await.unwrap();
    assert_eq!((changed.body, changed.form), (preset("multipart"), Some(form)));
    let changed = update(&["body"], api::Destination { body: preset("payload"), ..default() }).await.unwrap();
    assert_eq!((changed.body, changed.form), (preset("payload"), None));
    assert_eq!(world.post(event_json("e1").to_string(), &[]).await.0, 202);
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    assert_eq!(receiver.requests()[0].header("content-type"), "application/json");
}

#[tokio::test]
async fn command_line_sets_and_shows_request_settings() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let url = receiver.url();
    let create =
        ["destinations", "create", "--name", "SF", "--url", &url, "--body", "form", "--form-constant", "oid=00D=1"];
    let form = ["--form-field", "name=last_name", "--form-field", "event=", "--form-lists", "indices"];
    let made = world.run(&[&create[..], &form].concat()).await.well();
    assert_eq!(made.fact("body"), "form");
    assert_eq!(made.fact("form"), "nesting brackets, lists indices, name as last_name, without event, oid=00D=1");
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    assert_eq!(receiver.requests()[0].body, "oid=00D%3D1&last_name=Ada");

    let updated =
        world.run(&["destinations", "update", "SF", "--body", "payload", "--content-type", "text/json"]).await;
    assert_eq!(updated.well().fact("content type"), "text/json");
    let updated = world.run(&["destinations", "update", "SF", "--content-type", "", "--method", "DELETE"]).await.well();
    assert_eq!((updated.fact("body"), updated.out.contains("content type")), ("none", false));
    world.publish("e2").await;
    world.delivery_is("e2", DeliveryStatus::Succeeded).await;
    assert_eq!((receiver.requests()[1].method.as_str(), receiver.requests()[1].body.len()), ("DELETE", 0));
}

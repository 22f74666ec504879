//! Every method of the API, called by every kind of caller over every protocol. The methods and their rules come from
//! the descriptors, so that a new method is tested without being named here, and a method without a rule fails.

pub(super) mod protocol;
mod raw;

use std::fmt;

use api::{DeliveryStatus, Scope};
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MethodDescriptor, ReflectMessage as _, Value};
use testkit::Receiver;
use tonic::{Code, Status};

use self::protocol::Protocol;
pub(crate) use self::raw::Raw;
use super::{OTHER, expired_key, revoke, two_accounts};
use crate::world::{ACCOUNT, World};

/// An account for the calls of platform-wide keys, which may change anything in it.
const NOWHERE: &str = "nowhere";
/// Methods without an account or id in their request: they show what belongs to the caller.
const OF_THE_CALLER: [&str; 4] = [
    "AccessService/WhoAmI",
    "AccessService/CreateConsoleLink",
    "RegistryService/ListAccounts",
    "StatusService/GetShownUntil",
];
/// The id of the client, and of all other things in requests, which do not exist.
const NONE_SUCH: &str = "none-such";
pub(super) const SCOPES: [Scope; 5] = [Scope::Publish, Scope::Read, Scope::Operate, Scope::Admin, Scope::Payload];

struct Caller {
    is: Is,
    key: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Is {
    /// Without a valid key, for this reason.
    BadKey(&'static str),
    /// With a platform-wide key of this scope.
    Platform(Scope),
    /// With a key of the requested account and this scope.
    OfAccount(Scope),
    /// With a key of the requested account and client, and every scope.
    OfClient,
    /// With a key of another account and every scope.
    Stranger,
}

impl fmt::Debug for Is {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadKey(why) => write!(f, "a caller whose key is {why}"),
            Self::Platform(scope) => write!(f, "a platform-wide key with {}", scope.as_str_name()),
            Self::OfAccount(scope) => write!(f, "a key of the account with {}", scope.as_str_name()),
            Self::OfClient => f.write_str("a key of a client of the account"),
            Self::Stranger => write!(f, "a key of another account"),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Unauthenticated,
    Denied,
    NotFound,
    /// Access was granted; the call may still fail.
    Granted,
}

#[tokio::test]
async fn every_method_grants_access_exactly_by_its_rule() {
    let (world, receiver) = (two_accounts().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    let delivery = world.delivery_is("e1", DeliveryStatus::Succeeded).await.delivery.unwrap().delivery_id;
    let (_, spare) = world.new_key(ACCOUNT, &[Scope::Read]).await;
    let filter = Some(api::DeliveryFilter::default());
    let dry = api::RetryDeliveriesRequest { filter, dry_run: true, ..crate::jobs::retries() };
    let job = world.retry_many(dry).await.unwrap().job_id;
    let callers = callers(&world).await;
    let pool = DescriptorPool::decode(api::DESCRIPTORS).unwrap();
    let methods: Vec<_> = pool
        .services()
        .filter(|service| service.package_name() == "leadline.v1")
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .collect();
    assert!(methods.len() > 40, "{}", methods.len());
    let mut wrong = vec![];
    for method in &methods {
        for (caller, protocol) in callers.iter().flat_map(|caller| Protocol::ALL.map(|protocol| (caller, protocol))) {
            let account = if matches!(caller.is, Is::Platform(_)) { NOWHERE } else { ACCOUNT };
            let mut request = DynamicMessage::new(method.input());
            let names_account = fill(&mut request, account, 0);
            // Every UUID is a valid attempt id.
            let things = [("delivery_id", &delivery), ("attempt_id", &delivery), ("key_id", &spare), ("job_id", &job)];
            let names_thing =
                things.into_iter().fold(false, |named, (id, value)| set(&mut request, id, value) || named);
            let expected = expected(&pool, method, caller.is, names_account, names_thing);
            let answer = protocol.call(&world, method, &caller.key, &request).await;
            let got = match answer.as_ref().map_err(Status::code) {
                Err(Code::Unauthenticated) => Answer::Unauthenticated,
                Err(Code::PermissionDenied) => Answer::Denied,
                Err(Code::NotFound) if expected == Answer::NotFound => Answer::NotFound,
                // A stream is accepted, and each of its messages is refused.
                Ok(()) if method.is_client_streaming() && expected == Answer::Denied => continue,
                _ => Answer::Granted,
            };
            if got != expected {
                let (name, by) = (short(method), caller.is);
                wrong.push(format!("{name} over {protocol:?} by {by:?}: {got:?}, not {expected:?}: {answer:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn callers(world: &World) -> Vec<Caller> {
    let (revoked, id) = world.new_key("", &[Scope::Admin]).await;
    revoke(world, &id).await;
    let mut callers = vec![
        Caller { is: Is::BadKey("missing"), key: String::new() },
        Caller { is: Is::BadKey("no key"), key: "ll_rubbish".into() },
        Caller { is: Is::BadKey("unknown"), key: crypto::ApiKey::generate().unwrap().reveal() },
        Caller { is: Is::BadKey("expired"), key: expired_key(world).await },
        Caller { is: Is::BadKey("revoked"), key: revoked },
        Caller { is: Is::Stranger, key: world.new_key(OTHER, &SCOPES).await.0 },
    ];
    world.client(NONE_SUCH).await;
    let of_client = api::CreateKeyRequest {
        account_id: ACCOUNT.into(),
        client_id: NONE_SUCH.into(),
        scopes: SCOPES.map(Into::into).to_vec(),
        ..api::CreateKeyRequest::default()
    };
    let of_client = world.access().create_key(of_client).await.unwrap().into_inner().secret;
    callers.push(Caller { is: Is::OfClient, key: of_client });
    // A valid id with another secret.
    let (id, secret) = (world.key.rsplit_once('_').unwrap().0, crypto::ApiKey::generate().unwrap().reveal());
    let forged = format!("{id}_{}", secret.splitn(3, '_').nth(2).unwrap());
    callers.push(Caller { is: Is::BadKey("forged"), key: forged });
    for scope in SCOPES {
        callers.push(Caller { is: Is::Platform(scope), key: world.new_key("", &[scope]).await.0 });
        callers.push(Caller { is: Is::OfAccount(scope), key: world.new_key(ACCOUNT, &[scope]).await.0 });
    }
    callers
}

/// The expected answer by the rule of a method, which is read from its option.
fn expected(
    pool: &DescriptorPool,
    method: &MethodDescriptor,
    caller: Is,
    names_account: bool,
    names_thing: bool,
) -> Answer {
    let option = pool.get_extension_by_name("leadline.v1.requires").unwrap();
    let number = method.options().get_extension(&option).as_enum_number().unwrap();
    let rule = api::Rule::try_from(number).unwrap();
    let (needs, of_platform) = match rule {
        api::Rule::Unspecified => panic!("{} has no rule; see access.proto", short(method)),
        api::Rule::AnyKey => (None, false),
        api::Rule::Publish => (Some(Scope::Publish), false),
        api::Rule::Read => (Some(Scope::Read), false),
        api::Rule::Operate => (Some(Scope::Operate), false),
        api::Rule::Admin => (Some(Scope::Admin), false),
        api::Rule::Payload => (Some(Scope::Payload), false),
        api::Rule::PlatformRead => (Some(Scope::Read), true),
        api::Rule::PlatformOperate => (Some(Scope::Operate), true),
        api::Rule::PlatformAdmin => (Some(Scope::Admin), true),
    };
    let has = |scope: Scope| match (scope, needs) {
        (_, None) => true,
        (Scope::Admin, Some(needs)) => needs != Scope::Payload,
        (Scope::Operate, Some(needs)) => matches!(needs, Scope::Operate | Scope::Read),
        (scope, Some(needs)) => scope == needs,
    };
    let of_caller = OF_THE_CALLER.contains(&short(method).as_str());
    assert!(
        of_platform || of_caller || names_account || names_thing,
        "{} does not name an account; add account_id or an id to its request, or add it to OF_THE_CALLER",
        short(method)
    );
    match caller {
        Is::BadKey(_) => Answer::Unauthenticated,
        Is::Platform(scope) if has(scope) => Answer::Granted,
        Is::OfAccount(scope) if has(scope) && !of_platform => Answer::Granted,
        Is::Platform(_) | Is::OfAccount(_) => Answer::Denied,
        Is::OfClient if of_platform || !is_for_clients(pool, method) => Answer::Denied,
        // The thing belongs to no client.
        Is::OfClient if names_thing => Answer::NotFound,
        Is::OfClient => Answer::Granted,
        Is::Stranger if of_platform || names_account => Answer::Denied,
        Is::Stranger if of_caller => Answer::Granted,
        Is::Stranger => Answer::NotFound,
    }
}

/// Whether a method limits itself to the client of its caller.
fn is_for_clients(pool: &DescriptorPool, method: &MethodDescriptor) -> bool {
    let option = pool.get_extension_by_name("leadline.v1.for_clients").unwrap();
    method.options().get_extension(&option).as_bool().unwrap()
}

/// Sets every field that names an account, in the request and in its messages. Returns whether there is one. Other ids
/// name things that do not exist, so that no request is refused for missing fields before its account is checked.
fn fill(message: &mut DynamicMessage, account: &str, depth: u8) -> bool {
    let mut filled = false;
    for field in message.descriptor().fields().filter(|field| !field.is_list() && !field.is_map()) {
        match field.kind() {
            Kind::String if field.name() == "account_id" || field.name() == "account" => {
                message.set_field(&field, Value::String(account.into()));
                filled = true;
            }
            Kind::String if field.name().ends_with("_id") || field.name() == "interface" => {
                message.set_field(&field, Value::String(NONE_SUCH.into()));
            }
            Kind::Bytes => message.set_field(&field, Value::Bytes(b"{}".as_slice().into())),
            Kind::Message(inner) if depth < 2 && inner.package_name() == "leadline.v1" => {
                let mut inner = DynamicMessage::new(inner);
                if fill(&mut inner, account, depth + 1) {
                    message.set_field(&field, Value::Message(inner));
                    filled = true;
                }
            }
            _ => {}
        }
    }
    filled
}

fn set(message: &mut DynamicMessage, field: &str, value: &str) -> bool {
    message.try_set_field_by_name(field, Value::String(value.into())).is_ok()
}

pub(crate) fn short(method: &MethodDescriptor) -> String {
    format!("{}/{}", method.parent_service().name(), method.name())
}

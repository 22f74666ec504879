//! API keys: whom they authenticate, what callers may do with them, and which keys callers may create.

use domain::{
    AccountId, ClientId, KeyId, Registry, RegistryFact,
    access::{Bounds, Denial, Principal, Rule, Scope, Scopes},
    registry::{Account, ApiKey, Change, Command, EntityKind, KeyHash, KeyRefusal, Refusal, UrlRules},
};

use crate::common::{account, account_id, fact, t};

const HASH: KeyHash = KeyHash([7; 32]);

fn id(text: &str) -> KeyId {
    KeyId::parse(text).unwrap()
}

fn other() -> AccountId {
    AccountId::parse("other").unwrap()
}

fn key(account: Option<AccountId>, scopes: &[Scope]) -> ApiKey {
    ApiKey {
        id: id("k"),
        account,
        name: "a key".into(),
        scopes: scopes.iter().copied().collect(),
        hash: HASH,
        created_at: t(0),
        created_by: "test".into(),
        expires_at: None,
        revoked_at: None,
        client: None,
    }
}

fn registry_with(key: ApiKey) -> Registry {
    let mut registry = Registry::default();
    registry.apply(1, &fact(Change::AccountCreated(account())));
    registry.apply(2, &fact(Change::AccountCreated(Account { id: other(), ..account() })));
    registry.apply(3, &fact(Change::KeyCreated(key)));
    registry
}

fn principal(account: Option<AccountId>, scopes: &[Scope]) -> Principal {
    registry_with(key(account, scopes)).authenticate(&id("k"), &HASH, t(1)).unwrap()
}

fn decide(registry: &Registry, command: Command) -> Result<Change, Refusal> {
    registry.decide(command, UrlRules::default()).map(|decision| decision.change)
}

#[test]
fn each_scope_includes_its_documented_scopes() {
    let cases = [
        (Scope::Publish, vec![Scope::Publish]),
        (Scope::Read, vec![Scope::Read]),
        (Scope::Operate, vec![Scope::Read, Scope::Operate]),
        (Scope::Admin, vec![Scope::Publish, Scope::Read, Scope::Operate, Scope::Admin, Scope::Form]),
        (Scope::Form, vec![Scope::Form]),
        (Scope::Payload, vec![Scope::Payload]),
    ];
    for (own, may) in cases {
        let scopes: Scopes = [own].into_iter().collect();
        for scope in Scope::ALL {
            assert_eq!(scopes.include(scope), may.contains(&scope), "{own:?} {scope:?}");
            let allowed = principal(None, &[own]).may(Rule::Needs(scope));
            assert_eq!(allowed.is_ok(), may.contains(&scope), "{own:?} {scope:?}");
        }
        assert_eq!(principal(None, &[own]).may(Rule::AnyKey).is_ok(), own != Scope::Form, "{own:?}");
        assert_eq!(Scope::parse(own.as_str()), Some(own));
    }
}

#[test]
fn only_the_secret_of_a_valid_key_authenticates() {
    let registry = registry_with(ApiKey { expires_at: Some(t(10)), ..key(None, &[Scope::Read]) });
    let ask = |registry: &Registry, name: &str, hash, now| registry.authenticate(&id(name), &hash, t(now)).err();
    assert_eq!(ask(&registry, "k", HASH, 9), None);
    assert_eq!(ask(&registry, "k", KeyHash([8; 32]), 9), Some(KeyRefusal::Unknown));
    assert_eq!(ask(&registry, "another", HASH, 9), Some(KeyRefusal::Unknown));
    assert_eq!(ask(&registry, "k", HASH, 10), Some(KeyRefusal::Expired));
    let mut revoked = registry;
    revoked.apply(4, &fact(Change::KeyRevoked(None, id("k"))));
    assert_eq!(ask(&revoked, "k", HASH, 9), Some(KeyRefusal::Revoked));
}

#[test]
fn keys_end_with_their_account_even_if_it_is_recreated() {
    let mut registry = registry_with(key(Some(account_id()), &[Scope::Read]));
    registry.apply(4, &RegistryFact { at: t(5), ..fact(Change::AccountDeleted(account_id())) });
    registry.apply(5, &fact(Change::AccountCreated(account())));
    assert_eq!(registry.authenticate(&id("k"), &HASH, t(6)), Err(KeyRefusal::Revoked));
    assert_eq!(registry.key(&id("k")).unwrap().revoked_at, Some(t(5)));
}

#[test]
fn account_key_cannot_use_other_accounts_or_the_platform() {
    let bound = principal(Some(account_id()), &[Scope::Admin]);
    assert_eq!(bound.may_touch(&account_id()), Ok(()));
    assert!(matches!(bound.may_touch(&other()), Err(Denial::OtherAccount { .. })));
    assert!(matches!(bound.may(Rule::Platform(Scope::Admin)), Err(Denial::NotPlatform { .. })));
    let platform = principal(None, &[Scope::Admin]);
    assert_eq!(platform.may_touch(&other()), Ok(()));
    assert_eq!(platform.may(Rule::Platform(Scope::Admin)), Ok(()));
    assert!(matches!(principal(None, &[Scope::Operate]).may(Rule::Platform(Scope::Admin)), Err(Denial::Scope { .. })));
}

#[test]
fn created_key_never_exceeds_its_creator() {
    let bound = principal(Some(account_id()), &[Scope::Admin]);
    assert_eq!(bound.may_make(&key(Some(account_id()), &Scope::ALL)), Ok(()));
    assert!(bound.may_make(&key(Some(other()), &[Scope::Read])).is_err());
    assert!(bound.may_make(&key(None, &[Scope::Read])).is_err());
    let operator = principal(None, &[Scope::Operate]);
    assert_eq!(operator.may_make(&key(None, &[Scope::Read])), Ok(()));
    assert!(operator.may_make(&key(None, &[Scope::Publish])).is_err());
}

#[test]
fn only_administrators_grant_access_to_payloads() {
    let admin = principal(Some(account_id()), &[Scope::Admin]);
    assert!(matches!(admin.may(Rule::Needs(Scope::Payload)), Err(Denial::Scope { .. })));
    assert_eq!(admin.may_make(&key(Some(account_id()), &[Scope::Payload])), Ok(()));
    for scope in [Scope::Publish, Scope::Read, Scope::Operate, Scope::Form] {
        let denied = principal(None, &[scope]).may_make(&key(None, &[Scope::Payload]));
        assert!(matches!(denied, Err(Denial::Scope { needs: Scope::Payload, .. })), "{scope:?}");
    }
    assert_eq!(principal(None, &[Scope::Payload]).may(Rule::Needs(Scope::Payload)), Ok(()));
}

#[test]
fn payload_view_does_not_change_the_registry() {
    let mut registry = registry_with(key(None, &[Scope::Read]));
    let (event, lead) = (domain::EventId::parse("e").unwrap(), domain::LeadId::parse("ada").unwrap());
    let viewed = fact(Change::PayloadViewed(account_id(), event, lead));
    let version = registry.version(Some(&account_id()), EntityKind::Event, "e");
    registry.apply(registry.sequence() + 1, &viewed);
    assert_eq!(registry.version(Some(&account_id()), EntityKind::Event, "e"), version, "views have no versions");
    assert_eq!(viewed.change.action(), "viewed");
}

#[test]
fn refusal_of_a_new_key_names_the_field() {
    let registry = registry_with(key(None, &[Scope::Read]));
    let new = |change: fn(&mut ApiKey)| {
        let mut key = ApiKey { id: id("new"), ..key(None, &[Scope::Read]) };
        change(&mut key);
        decide(&registry, Command::CreateKey(key))
    };
    assert!(new(|_| ()).is_ok());
    let field = |decided: Result<Change, Refusal>| match decided {
        Err(Refusal::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(new(|key| key.scopes = Scopes::default())), "scopes");
    assert_eq!(field(new(|key| key.scopes = [Scope::Form].into_iter().collect())), "scopes");
    assert_eq!(field(new(|key| key.scopes = [Scope::Form, Scope::Read].into_iter().collect())), "scopes");
    assert_eq!(field(new(|key| key.expires_at = Some(t(0)))), "expires_at");
    assert_eq!(field(new(|key| key.name = "two\nlines".into())), "name");
    let absent = Refusal::NotFound { kind: EntityKind::Account, id: "no".into() };
    assert_eq!(new(|key| key.account = Some(AccountId::parse("no").unwrap())), Err(absent));
    let taken = Refusal::AlreadyExists { kind: EntityKind::Key, id: "k".into() };
    assert_eq!(new(|key| key.id = id("k")), Err(taken));
}

#[test]
fn number_of_valid_keys_is_limited() {
    let mut registry = registry_with(key(None, &[Scope::Read]));
    let new = |n: u32| ApiKey {
        id: id(&format!("k{n}")),
        hash: KeyHash([u8::try_from(n % 251).unwrap(); 32]),
        ..key(Some(account_id()), &[Scope::Read])
    };
    for n in 0..1_000 {
        let change = decide(&registry, Command::CreateKey(new(n))).unwrap();
        registry.apply(registry.sequence() + 1, &fact(change));
    }
    assert!(matches!(decide(&registry, Command::CreateKey(new(1_000))), Err(Refusal::TooMany { .. })));
    let revoked = decide(&registry, Command::RevokeKey(id("k3"))).unwrap();
    assert_eq!(revoked, Change::KeyRevoked(Some(account_id()), id("k3")));
    registry.apply(registry.sequence() + 1, &fact(revoked));
    assert!(decide(&registry, Command::CreateKey(new(1_000))).is_ok());
    let absent = Refusal::NotFound { kind: EntityKind::Key, id: "none".into() };
    assert_eq!(decide(&registry, Command::RevokeKey(id("none"))), Err(absent));
}

#[test]
fn session_never_exceeds_its_key_and_its_bounds() {
    let client = |text: &str| ClientId::parse(text).unwrap();
    let bounds = |scopes: &[Scope]| Bounds {
        account: None,
        client: None,
        scopes: scopes.iter().copied().collect(),
        until: t(100),
        person: String::new(),
        is_portal: false,
    };
    let operator = principal(None, &[Scope::Operate]);
    let scopes = |principal: Option<Principal>| principal.unwrap().key().scopes.named().collect::<Vec<_>>();
    assert_eq!(scopes(operator.within(&bounds(&[Scope::Read]))), [Scope::Read]);
    // The bounds were set before the key lost scopes.
    assert_eq!(scopes(operator.within(&bounds(&[Scope::Admin, Scope::Publish, Scope::Read]))), [Scope::Read]);

    let of_other = Bounds { account: Some(other()), ..bounds(&[Scope::Read]) };
    assert_eq!(operator.within(&of_other).unwrap().account(), Some(&other()));
    assert_eq!(principal(Some(account_id()), &[Scope::Read]).within(&of_other), None);
    let north = Bounds { account: Some(account_id()), client: Some(client("north")), ..bounds(&[Scope::Read]) };
    let bound = operator.within(&north).unwrap();
    assert_eq!((bound.account(), bound.client()), (Some(&account_id()), Some(&client("north"))));
    assert_eq!(operator.within(&Bounds { account: None, ..north.clone() }), None, "a client without an account");
    assert_eq!(bound.within(&Bounds { client: Some(client("south")), ..north }), None);
    assert_eq!(bound.within(&bounds(&[Scope::Read])).unwrap().client(), Some(&client("north")));
    assert!(matches!(bound.may_as_client(false), Err(Denial::OneClient { .. })));
    assert_eq!((bound.may_as_client(true), operator.may_as_client(false)), (Ok(()), Ok(())));

    let mut expiring = key(None, &[Scope::Admin]);
    for (own, end) in [(Some(t(50)), 50), (Some(t(150)), 100), (None, 100)] {
        expiring.expires_at = own;
        let principal = registry_with(expiring.clone()).of_session(&id("k"), t(1)).unwrap();
        assert_eq!(principal.within(&bounds(&[Scope::Admin])).unwrap().key().expires_at, Some(t(end)));
    }
    let portal = Bounds { is_portal: true, ..bounds(&[Scope::Admin]) };
    let portal = principal(None, &[Scope::Admin]).within(&portal).unwrap();
    assert!(matches!(portal.may_make(&key(None, &[Scope::Read])), Err(Denial::FromPortal { .. })));
    let further = portal.within(&bounds(&[Scope::Admin])).unwrap();
    assert!(further.is_portal(), "a portal stays one");
}

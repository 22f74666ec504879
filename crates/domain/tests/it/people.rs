//! People whom an identity provider vouches for: what their groups permit, and how facts name them.

use std::sync::Arc;

use domain::{
    Principal,
    access::{GroupRule, Holder, Person, Rule, Scope, rights_of},
};

use crate::common::t;

fn rules(texts: &[&str]) -> Vec<GroupRule> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn groups(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn person(issuer: &str, subject: &str, name: &str) -> Arc<Person> {
    Arc::new(Person { issuer: issuer.into(), subject: subject.into(), name: name.into(), groups: vec![] })
}

#[test]
fn group_rule_names_scopes_and_where_they_hold() {
    let rule: GroupRule = "CN=crm,DC=acme=operate+payload@acme/north".parse().unwrap();
    assert_eq!(rule.group, "CN=crm,DC=acme");
    assert_eq!(rule.rights.scopes.named().collect::<Vec<_>>(), [Scope::Operate, Scope::Payload]);
    assert_eq!(rule.rights.account.unwrap().as_str(), "acme");
    assert_eq!(rule.rights.client.unwrap().as_str(), "north");
    let platform: GroupRule = "admins=admin".parse().unwrap();
    assert_eq!((platform.rights.account, platform.rights.client), (None, None));
    let long = format!("{}=read", "g".repeat(101));
    for bad in ["", "admins", "=admin", "a=", "a=all", "a=form@acme", "a=read@", "a=read@acme/", "a=read@a b", &long] {
        assert!(bad.parse::<GroupRule>().is_err(), "{bad:?}");
    }
}

#[test]
fn first_matching_rule_decides_the_account() {
    let rules = rules(&["support=operate@acme", "admins=admin", "readers=payload@acme", "north=read@acme/north"]);
    let found = |names: &[&str]| rights_of(&rules, &groups(names));
    assert_eq!(found(&["staff"]), None);
    assert_eq!(found(&[]), None);
    let (rights, deciding) = found(&["north", "readers", "admins", "staff", "support"]).unwrap();
    assert_eq!(rights.account.unwrap().as_str(), "acme");
    assert_eq!(rights.scopes.named().collect::<Vec<_>>(), [Scope::Operate, Scope::Payload]);
    assert_eq!((rights.client, deciding), (None, groups(&["support", "readers"])));
    let (rights, _) = found(&["admins", "readers"]).unwrap();
    assert_eq!((rights.account, rights.scopes.include(Scope::Payload)), (None, false));
}

#[test]
fn every_group_can_add_scopes_and_is_named_once() {
    let texts: Vec<_> =
        (0..20).map(|number| format!("g{number}=read@acme")).chain(["g0=payload@acme".into()]).collect();
    let names: Vec<_> = (0..20).map(|number| format!("g{number}")).collect();
    let (rights, deciding) = rights_of(&rules(&texts.iter().map(String::as_str).collect::<Vec<_>>()), &names).unwrap();
    assert_eq!(rights.scopes.named().collect::<Vec<_>>(), [Scope::Read, Scope::Payload]);
    assert_eq!(deciding, ["g0"]);
}

#[test]
fn person_is_named_by_subject_and_has_no_key() {
    let (rights, _) = rights_of(&rules(&["support=operate@acme"]), &groups(&["support"])).unwrap();
    let principal = |person: &Arc<Person>| person.principal(&rights, t(100)).unwrap();
    let ada = person("https://id.example", "8a1f", "ada@acme.example");
    assert_eq!(principal(&ada).to_string(), "person 8a1f (ada@acme.example)");
    assert_eq!(principal(&person("https://id.example", "8a1f", "")).to_string(), "person 8a1f (8a1f)");
    let id = |person: &Arc<Person>| Principal::id(&principal(person)).clone();
    assert_eq!(id(&ada), id(&person("https://id.example", "8a1f", "ada@new.example")), "limits count the person");
    assert_ne!(id(&ada), id(&person("https://id.example", "8a1f0", "ada@acme.example")));
    assert_ne!(id(&ada), id(&person("https://other.example", "8a1f", "ada@acme.example")));
    assert_eq!(principal(&ada).holder(), Holder::Person(Arc::clone(&ada)));
    assert_eq!(principal(&ada).may(Rule::Needs(Scope::Read)), Ok(()));
    assert!(principal(&ada).may(Rule::Needs(Scope::Admin)).is_err());
    assert_eq!(principal(&ada).key().expires_at, Some(t(100)));
}

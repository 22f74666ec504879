//! Strategies for registry facts of every kind, with any content.

use std::sync::Arc;

use domain::{
    AccountId, ApiUserId, ClientId, Condition, DeliveryId, DestinationId, ErrorKind, EventId, InterfaceId, KeyId,
    LeadId, RegistryFact, RetryPolicy, TokenId, access,
    notice::NoticeKind,
    policy::Deactivate,
    registry::{
        Account, Algorithm, ApiKey, ApiUser, Body, Change, Client, ClientAuthentication, ClientCertificate,
        CompatibilitySignature, Confirmation, ContentType, CredentialKind, Credentials, DeactivatedBy, Deactivation,
        DeactivationCause, Destination, DestinationProxy, Encoding, EventTypePattern, Form, Hash, Interface, KeyHash,
        Lists, Logo, Method, Nesting, OAuth2Client, OptOut, Portal, RequestShape, Role, Routing, Scope, SealedSecret,
        SentTrace, SignedContent, Token, TokenSecret, Transport, WebhookId,
    },
};
use proptest::{option, prelude::*, sample::select};
use uuid::Uuid;

use crate::{
    searchable,
    strategies::{span, time, token_text},
};

prop_compose! {
    fn shape()(
        method in select(Method::ALL.to_vec()),
        body in select(vec![
            Body::Payload, Body::Envelope, Body::Slack, Body::Form, Body::Multipart, Body::Template("{{ payload }}".into()),
        ]),
        content_type in option::of(select(vec!["text/xml; charset=utf-8", "application/vnd.api+json"])),
        form in (
            select(Nesting::ALL.to_vec()), select(Lists::ALL.to_vec()), any::<bool>(),
            any::<Vec<(String, String)>>(), any::<Vec<(String, String)>>(),
        ),
        signature in option::of((
            select(Hash::ALL.to_vec()), select(Encoding::ALL.to_vec()), any::<(String, String)>(),
            select(vec![
                SignedContent::Body, SignedContent::TimestampInSignature,
                SignedContent::TimestampInHeader("x-timestamp".into()),
            ]),
        )),
        headers in prop::collection::vec(any::<(String, String)>(), 0..3),
        credentials in option::of((select(CredentialKind::ALL.to_vec()), any::<String>(), any::<Vec<u8>>())),
        oauth2 in option::of(oauth2()),
        webhook_id in select(WebhookId::ALL.to_vec()),
        trace_context in select(SentTrace::ALL.to_vec()),
    ) -> RequestShape {
        let credentials = credentials
            .map(|(kind, header, sealed)| Credentials { kind, header, sealed: SealedSecret(sealed), oauth2 });
        let content_type = content_type.map(|text| ContentType::parse(text).unwrap());
        let (nesting, lists, only_fields, fields, constants) = form;
        let form = Form { nesting, lists, fields, only_fields, constants };
        let compatibility_signature = signature.map(|(hash, encoding, (header, prefix), content)| {
            CompatibilitySignature { header, hash, encoding, prefix, content }
        });
        RequestShape {
            method,
            body,
            content_type,
            form,
            headers,
            credentials,
            compatibility_signature,
            webhook_id,
            trace_context,
        }
    }
}

prop_compose! {
    fn oauth2()(
        texts in any::<(String, String, String)>(),
        parameters in prop::collection::vec(any::<(String, String)>(), 0..3),
        authentication in select(&ClientAuthentication::ALL[..]),
    ) -> OAuth2Client {
        OAuth2Client { token_url: texts.0, client_id: texts.1, scope: texts.2, parameters, authentication }
    }
}

prop_compose! {
    fn transport()(
        certificate in option::of((any::<(String, String)>(), any::<Vec<u8>>(), time())),
        authorities in option::of("[A-Z ]{1,9}"),
        proxy in option::of((any::<(String, String)>(), option::of(prop::collection::vec(any::<u8>(), 1..9)))),
    ) -> Transport {
        let client_certificate = certificate.map(|((chain, subject), key, not_after)| {
            ClientCertificate { chain, key: SealedSecret(key), subject, not_after }
        });
        let proxy = proxy.map(|((url, username), password)| {
            DestinationProxy { url, username, password: password.map(SealedSecret) }
        });
        Transport { client_certificate, authorities, proxy }
    }
}

prop_compose! {
    fn destination()(
        ids in (token_text(), token_text(), option::of((any::<bool>(), token_text())), option::of(token_text())),
        texts in any::<(String, String)>(),
        patterns in prop::collection::vec(select(vec!["*", "lead.created", "email.*"]), 0..3),
        spans in (span(), option::of(span())),
        concurrency in any::<u32>(),
        enabled in any::<bool>(),
        deactivate in select(Deactivate::ALL.to_vec()),
        preset in select(vec![RetryPolicy::standard(), RetryPolicy::patient(), RetryPolicy::manual()]),
        shape in shape(),
        condition in option::of(select(vec![r#"{"payload.a": 1.10}"#, r#"{"or": [{"payload": {"exists": true}}]}"#])),
        transport in transport(),
    ) -> Destination {
        Destination {
            account: AccountId::parse(&ids.0).unwrap(),
            id: DestinationId::parse(&ids.1).unwrap(),
            name: texts.0,
            scope: match ids.2 {
                None => Scope::Account,
                Some((true, text)) => Scope::Client(ClientId::parse(&text).unwrap()),
                Some((false, text)) => Scope::Interface(InterfaceId::parse(&text).unwrap()),
            },
            url: texts.1,
            event_types: patterns.into_iter().map(|text| EventTypePattern::parse(text).unwrap()).collect(),
            condition: condition.map(|text| Condition::parse(text).unwrap()),
            timeout: spans.0,
            concurrency,
            retry: RetryPolicy { max_age: spans.1, deactivate, ..preset },
            rate: Some(concurrency).filter(|rate| *rate > 0),
            breaker_failures: concurrency,
            ordered: concurrency % 2 == 1,
            request: shape,
            transport: Arc::new(transport),
            token: ids.3.map(|text| TokenId::parse(&text).unwrap()),
            enabled,
            deactivated: None,
            skip_held_before: None,
            deleted: false,
        }
    }
}

prop_compose! {
    pub(crate) fn registry_fact()(
        kind in 0..27_usize,
        destination in destination(),
        interface_text in token_text(),
        token_text in token_text(),
        retention in option::of(span()),
        role in select(&Role::ALL[..]),
        texts in any::<(String, Vec<String>, String)>(),
        sealed in prop::collection::vec((any::<Vec<u8>>(), time(), option::of(time())), 0..3),
        skip in option::of(time()),
        at in time(),
    ) -> RegistryFact {
        let (account, id) = (destination.account.clone(), destination.id.clone());
        let interface_id = InterfaceId::parse(&interface_text).unwrap();
        let interface = Interface {
            account: account.clone(),
            id: interface_id.clone(),
            name: texts.0.clone(),
            retention,
            lead_notification_emails: texts.1.clone(),
            searchable: searchable::fields(retention.is_some()),
            unconfirmed: texts.1.clone(),
            deleted: false,
        };
        let client_id = ClientId::parse(&interface_text).unwrap();
        let client =
            Client { account: account.clone(), id: client_id.clone(), name: texts.0.clone(), deleted: false };
        let user_id = ApiUserId::parse(&interface_text).unwrap();
        let user = ApiUser {
            account: account.clone(),
            id: user_id.clone(),
            name: texts.0.clone(),
            email: texts.2.clone(),
            role,
            unconfirmed: vec![texts.2.clone()],
            deleted: false,
        };
        let token_id = TokenId::parse(&token_text).unwrap();
        let secret = |(sealed, created_at, expires_at)| {
            TokenSecret { sealed: SealedSecret(sealed), created_at, expires_at }
        };
        let token = Token {
            account: account.clone(),
            id: token_id.clone(),
            name: texts.0.clone(),
            algorithm: if kind % 2 == 0 { Algorithm::HmacSha256 } else { Algorithm::Ed25519 },
            secrets: sealed.into_iter().map(secret).collect(),
            deleted: false,
        };
        let whole = Account {
            id: account.clone(),
            name: texts.0.clone(),
            brand: Some(texts.0).filter(|brand| !brand.is_empty()),
            notification_emails: texts.1.clone(),
            api_user_emails: texts.1.clone(),
            unconfirmed: texts.1.clone(),
            routing: if kind % 2 == 0 { Routing::Override } else { Routing::All },
            keep_history: interface.retention,
            portal: Portal {
                color: (kind % 2 == 0).then(|| "#1f5fbf".parse().unwrap()),
                logo: (kind % 3 == 0).then(|| Logo::parse(b"\x89PNG\r\n\x1a\n").unwrap()),
            },
            deleted: false,
        };
        let opt_out = OptOut::new(account.clone(), &texts.2, NoticeKind::ALL[kind % NoticeKind::ALL.len()]);
        let key = ApiKey {
            id: KeyId::parse(token_id.as_str()).unwrap(),
            account: Some(account.clone()).filter(|_| skip.is_some()),
            name: texts.2.clone(),
            scopes: access::Scope::ALL.into_iter().take(texts.1.len() % 5).collect(),
            hash: KeyHash([u8::from(skip.is_some()); 32]),
            created_at: at,
            created_by: texts.2.clone(),
            expires_at: skip,
            revoked_at: None,
            client: Some(client_id.clone()).filter(|_| skip.is_some()),
        };
        let change = match kind {
            0 => Change::AccountCreated(whole),
            1 => Change::AccountUpdated(whole),
            2 => Change::AccountDeleted(account),
            3 => Change::InterfaceCreated(interface),
            4 => Change::InterfaceUpdated(interface),
            5 => Change::InterfaceDeleted(account, interface_id),
            6 => Change::DestinationCreated(destination),
            7 => Change::DestinationUpdated(destination),
            8 => Change::DestinationEnabled(account, id, skip),
            9 => Change::DestinationDisabled(account, id),
            10 => Change::DestinationDeleted(account, id),
            11 => Change::TokenCreated(token),
            12 => Change::TokenUpdated(token),
            13 => Change::TokenDeleted(account, token_id),
            14 => Change::ClientCreated(client),
            15 => Change::ClientUpdated(client),
            16 => Change::ClientDeleted(account, client_id),
            17 => Change::ApiUserCreated(user),
            18 => Change::ApiUserUpdated(user),
            19 => Change::ApiUserDeleted(account, user_id),
            20 => Change::KeyCreated(key),
            21 => Change::KeyRevoked(key.account, key.id),
            22 => Change::OptOutCreated(opt_out),
            23 => Change::OptOutDeleted(account, opt_out.id),
            24 => Change::EmailConfirmed(Confirmation::new(account, &texts.2)),
            25 => {
                let (event, lead) = (EventId::parse(token_id.as_str()), LeadId::parse(token_id.as_str()));
                Change::PayloadViewed(account, event.unwrap(), lead.unwrap())
            }
            _ => {
                let delivery = skip.map(|_| DeactivatedBy {
                    delivery: DeliveryId::from_uuid(Uuid::from_u128(7)),
                    lead: LeadId::parse(token_id.as_str()).unwrap(),
                    event_id: EventId::parse(token_id.as_str()).unwrap(),
                    attempts: u32::try_from(kind).unwrap(),
                    status_code: 999,
                    error_kind: ErrorKind::ALL.into_iter().nth(kind % ErrorKind::ALL.len()),
                });
                let why = Deactivation { at, cause: DeactivationCause::Gone, first_failed_at: skip, delivery };
                Change::DestinationDeactivated(account, id, why)
            }
        };
        RegistryFact { at, by: texts.2, change }
    }
}

//! Destinations: the methods that create, show, list, change, enable, disable and delete them, and assign tokens.

use api::{
    registry::destination_to_api,
    request::{Violations, given, new_request_id, optional, request_id},
    status::{invalid, refusal},
};
use domain::{
    AccountId, DestinationId, Registry, TokenId,
    registry::{Body, Command, Destination, EntityKind, Form, Refusal, RequestShape, Scope, Transport},
};
use jiff::Timestamp;
use runtime::ErrorChain as _;
use tonic::{Request, Response, Status};
use url::Url;

use super::{
    Answer, RegistryService,
    lookup::{destination_id, destination_of, listed, missing},
    mask::Mask,
    origin::{self, Given},
    transport::{Kept, Sealing},
    warnings,
};
use crate::call::caller::Caller;

#[rustfmt::skip]
pub(super) const FIELDS: [&str; 26] = [
    "name", "interface_id", "client_id", "url", "event_types", "timeout", "concurrency", "retry_policy", "token_id",
    "enabled", "rate", "breaker_failures", "ordered", "method", "body", "content_type", "form", "headers", "auth",
    "compatibility_signature", "condition", "webhook_id", "trace_context", "client_certificate", "ca_certificates",
    "proxy",
];

/// Reads a destination of the API.
type Read = fn(api::Destination, DestinationId) -> Result<Destination, Refusal>;

impl RegistryService {
    /// A destination for an answer, with the number of its held deliveries if a rule deactivated it. The number comes
    /// from the read model. If the database fails, the destination is shown without it.
    async fn with_held(&self, destination: &Destination) -> api::Destination {
        let mut shown = destination_to_api(destination);
        if let Some(deactivated) = &mut shown.deactivated {
            let held = self.store.held_at(&destination.id).await;
            let held = held.inspect_err(|error| {
                tracing::warn!(destination = %destination.id, error = error.chain(), "cannot count held deliveries");
            });
            deactivated.held = held.ok();
        }
        shown
    }

    pub(super) async fn create_destination(
        &self,
        caller: Caller,
        request: Request<api::CreateDestinationRequest>,
    ) -> Answer<api::Destination> {
        let request = request.into_inner();
        let new = given("destination", request.destination)?;
        let mut fields = Violations::default();
        // An invalid id is replaced so that the other fields can be checked. The call is refused anyway.
        let call = fields.note(request_id(&request.request_id)).unwrap_or_else(new_request_id);
        let Some(account) = fields.note(caller.account(&new.account_id)) else { return fields.end(|| None) };
        let id = DestinationId::of_request(&account, &call);
        let destination = self.read(&mut fields, &new, (&account, &id), api::registry::new_destination);
        let destination = fields.end(|| destination)?;
        check_templates(&destination)?;
        let find = |registry: &Registry| Ok(warnings::added(registry, destination_of(registry, &account, &id)?));
        let command = Command::CreateDestination(destination);
        if request.validate_only {
            // If an earlier call created the destination, there is no change to decide.
            let new = |registry: &Registry| Ok(find(registry).is_err().then_some(command));
            return find(&*self.changes.validate(&caller, new).await?).map(Response::new);
        }
        let made = self.changes.make_once(&caller, command, find).await?;
        Ok(Response::new(made.found))
    }

    pub(super) async fn get_destination(
        &self,
        caller: Caller,
        request: Request<api::GetDestinationRequest>,
    ) -> Answer<api::Destination> {
        let (request, registry) = (request.get_ref(), self.registry.snapshot());
        let (account, id) = caller.account_and(&request.account_id, destination_id(&request.destination_id))?;
        let destination = destination_of(&registry, &account, &id)?;
        owned(&caller, destination)?;
        Ok(Response::new(self.with_held(destination).await))
    }

    pub(super) async fn list_destinations(
        &self,
        caller: Caller,
        request: Request<api::ListDestinationsRequest>,
    ) -> Answer<api::ListDestinationsResponse> {
        let (request, registry) = (request.get_ref(), self.registry.snapshot());
        let part = (request.page_size, request.page_token.as_str());
        let list = ("destinations", &request.name);
        let (entry, listing) = listed(&caller, &registry, &request.account_id, list, part)?;
        let existing = entry
            .destinations()
            .filter(|d| !d.deleted && (request.name.is_empty() || d.name == request.name) && caller.owns(d));
        let (destinations, next_page_token) =
            listing.cut(existing, |destination| destination.id.as_str(), |destination| destination_to_api(destination));
        Ok(Response::new(api::ListDestinationsResponse { destinations, next_page_token }))
    }

    pub(super) async fn update_destination(
        &self,
        caller: Caller,
        request: Request<api::UpdateDestinationRequest>,
    ) -> Answer<api::Destination> {
        let request = request.into_inner();
        let new = given("destination", request.destination)?;
        let mut fields = Violations::default();
        let mask = Mask::read(&mut fields, request.update_mask.as_ref(), &FIELDS);
        let named = fields.note(caller.account_and(&new.account_id, destination_id(&new.destination_id)));
        let Some((account, id)) = named else { return fields.end(|| None) };
        let kept = Kept::of(&new, mask.is_whole());
        let given = Given {
            credentials: !kept.credentials() && mask.names("auth"),
            token: mask.names("token_id"),
            certificate: !kept.certificate() && mask.names("client_certificate"),
        };
        let (keep_webhook_id, keep_trace_context) = (new.webhook_id.is_empty(), new.trace_context.is_empty());
        let new = self.read(&mut fields, &new, (&account, &id), api::registry::destination);
        let mut new = fields.end(|| new)?;
        let update = |registry: &Registry| {
            let now = destination_of(registry, &account, &id)?;
            kept.add(now, &mut new);
            // Receivers discard repeats by this id, so a caller that does not know the setting must not change it.
            if keep_webhook_id {
                new.request.webhook_id = now.request.webhook_id;
            }
            if keep_trace_context {
                new.request.trace_context = now.request.trace_context;
            }
            let changed = merged(now, new, mask);
            origin::check(now, &changed, given)?;
            if (&changed.url, &changed.request) != (&now.url, &now.request) {
                check_templates(&changed)?;
            }
            Ok(Command::UpdateDestination(changed))
        };
        let registry = if request.validate_only {
            self.changes.validate(&caller, |registry| update(registry).map(Some)).await?
        } else {
            self.changes.make(&caller, update).await?
        };
        let updated = destination_of(&registry, &account, &id)?;
        let warnings = warnings::about(&registry, updated);
        Ok(Response::new(api::Destination { warnings, ..self.with_held(updated).await }))
    }

    pub(super) async fn enable_destination(
        &self,
        caller: Caller,
        request: Request<api::EnableDestinationRequest>,
    ) -> Answer<api::Destination> {
        let r = request.get_ref();
        let (account, id) = caller.account_and(&r.account_id, destination_id(&r.destination_id))?;
        let skip_before = r.skip_held.then(Timestamp::now);
        let command = Command::EnableDestination(account.clone(), id.clone(), skip_before);
        let owned = |registry: &Registry| {
            owned(&caller, destination_of(registry, &account, &id)?)?;
            Ok(command)
        };
        let registry = self.changes.make(&caller, owned).await?;
        tracing::info!(destination = %id, by = caller.by(), "enabled destination");
        Ok(Response::new(self.with_held(destination_of(&registry, &account, &id)?).await))
    }

    pub(super) async fn disable_destination(
        &self,
        caller: Caller,
        request: Request<api::DisableDestinationRequest>,
    ) -> Answer<api::Destination> {
        let r = request.get_ref();
        let (account, id) = caller.account_and(&r.account_id, destination_id(&r.destination_id))?;
        let command = Command::DisableDestination(account.clone(), id.clone());
        let owned = |registry: &Registry| {
            owned(&caller, destination_of(registry, &account, &id)?)?;
            Ok(command)
        };
        let registry = self.changes.make(&caller, owned).await?;
        tracing::info!(destination = %id, by = caller.by(), "disabled destination");
        Ok(Response::new(self.with_held(destination_of(&registry, &account, &id)?).await))
    }

    pub(super) async fn delete_destination(
        &self,
        caller: Caller,
        request: Request<api::DeleteDestinationRequest>,
    ) -> Answer<api::DeleteDestinationResponse> {
        let r = request.get_ref();
        let (account, id) = caller.account_and(&r.account_id, destination_id(&r.destination_id))?;
        self.changes.make(&caller, |_| Ok(Command::DeleteDestination(account, id))).await?;
        Ok(Response::new(api::DeleteDestinationResponse {}))
    }

    pub(super) async fn assign_token(
        &self,
        caller: Caller,
        request: Request<api::AssignTokenRequest>,
    ) -> Answer<api::Destination> {
        let r = request.get_ref();
        let mut fields = Violations::default();
        let named = fields.note(caller.account_and(&r.account_id, destination_id(&r.destination_id)));
        let token = fields.note(optional("token_id", &r.token_id, TokenId::parse));
        let ((account, id), token) = fields.end(|| named.zip(token))?;
        let assign = |registry: &Registry| {
            let now = destination_of(registry, &account, &id)?.clone();
            Ok(Command::UpdateDestination(Destination { token, ..now }))
        };
        let registry = self.changes.make(&caller, assign).await?;
        Ok(Response::new(self.with_held(destination_of(&registry, &account, &id)?).await))
    }

    /// Converts a destination of the API: seals its secrets and parses its certificates. Notes wrong fields.
    fn read(
        &self,
        fields: &mut Violations,
        given: &api::Destination,
        (account, id): (&AccountId, &DestinationId),
        read: Read,
    ) -> Option<Destination> {
        let destination = fields.note(read(given.clone(), id.clone()).map_err(|e| refusal(&e)));
        let sealing = Sealing { key: &self.key, guard: &self.guard, account, id };
        let credentials = fields.note(sealing.credentials(given.auth.clone().unwrap_or_default()));
        let transport = sealing.transport(fields, given);
        if let Ok(url) = Url::parse(&given.url) {
            fields.note(self.guard.check_literal(&url).map_err(|e| invalid("url", e)));
        }
        let mut destination = destination?;
        destination.request.credentials = credentials?;
        destination.transport = transport?.into();
        Some(destination)
    }
}

/// Refuses a destination that does not belong to the client that the caller is bound to, as if it did not exist.
fn owned(caller: &Caller, destination: &Destination) -> Result<(), Status> {
    if caller.owns(destination) { Ok(()) } else { Err(missing(EntityKind::Destination, destination.id.as_str())) }
}

/// Parses the templates. The result depends on the content type, so call this once the whole destination is known.
fn check_templates(destination: &Destination) -> Result<(), Status> {
    // Parsing may take tens of milliseconds, for which other calls need not wait.
    tokio::task::block_in_place(|| render::check(destination)).map_err(|e| invalid("template", e.chain()))
}

fn merged(now: &Destination, new: Destination, mask: Mask<'_>) -> Destination {
    let now = now.clone();
    Destination {
        account: now.account,
        id: now.id,
        name: mask.pick("name", new.name, now.name),
        scope: merged_scope(now.scope, new.scope, mask),
        url: mask.pick("url", new.url, now.url),
        event_types: mask.pick("event_types", new.event_types, now.event_types),
        condition: mask.pick("condition", new.condition, now.condition),
        timeout: mask.pick("timeout", new.timeout, now.timeout),
        concurrency: mask.pick("concurrency", new.concurrency, now.concurrency),
        retry: mask.pick("retry_policy", new.retry, now.retry),
        token: mask.pick("token_id", new.token, now.token),
        enabled: mask.pick("enabled", new.enabled, now.enabled),
        rate: mask.pick("rate", new.rate, now.rate),
        ordered: mask.pick("ordered", new.ordered, now.ordered),
        breaker_failures: mask.pick("breaker_failures", new.breaker_failures, now.breaker_failures),
        request: merged_request(now.request, new.request, mask),
        transport: merged_transport(&now.transport, &new.transport, mask).into(),
        deactivated: now.deactivated,
        skip_held_before: now.skip_held_before,
        deleted: false,
    }
}

fn merged_request(now: RequestShape, new: RequestShape, mask: Mask<'_>) -> RequestShape {
    let body = mask.pick("body", new.body, now.body);
    let is_form = matches!(body, Body::Form | Body::Multipart);
    let form = match mask.names("form") {
        true => new.form,
        // The setting only concerns a body that is a form.
        false if is_form => now.form,
        false => Form::default(),
    };
    RequestShape {
        method: mask.pick("method", new.method, now.method),
        body,
        content_type: mask.pick("content_type", new.content_type, now.content_type),
        form,
        headers: mask.pick("headers", new.headers, now.headers),
        credentials: mask.pick("auth", new.credentials, now.credentials),
        compatibility_signature: mask.pick(
            "compatibility_signature",
            new.compatibility_signature,
            now.compatibility_signature,
        ),
        webhook_id: mask.pick("webhook_id", new.webhook_id, now.webhook_id),
        trace_context: mask.pick("trace_context", new.trace_context, now.trace_context),
    }
}

fn merged_transport(now: &Transport, new: &Transport, mask: Mask<'_>) -> Transport {
    let of = |field| if mask.names(field) { new } else { now };
    Transport {
        client_certificate: of("client_certificate").client_certificate.clone(),
        authorities: of("ca_certificates").authorities.clone(),
        proxy: of("proxy").proxy.clone(),
    }
}

/// The scope after an update. A client that the mask names replaces an interface, and an interface that the mask names
/// replaces a client.
fn merged_scope(now: Scope, new: Scope, mask: Mask<'_>) -> Scope {
    let (client, interface) = (mask.names("client_id"), mask.names("interface_id"));
    let named = match (&new, &now) {
        (Scope::Client(_), _) | (Scope::Account, Scope::Client(_)) => client,
        (Scope::Interface(_), _) | (Scope::Account, Scope::Interface(_)) => interface,
        (Scope::Account, Scope::Account) => true,
    };
    if named { new } else { now }
}

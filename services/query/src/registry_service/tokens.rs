//! Tokens: how they are created with new or imported secrets, shown, renamed, rotated and deleted.

use std::time::Duration;

use api::{
    duration,
    registry::token_to_api,
    request::{Violations, WrongField, given, request_id},
    status::invalid,
};
use crypto::{RawFormat, Secret, Signer};
use domain::{
    AccountId, Registry, TokenId,
    registry::{Algorithm, Command, SealedSecret, Token, TokenSecret},
};
use jiff::Timestamp;
use tonic::{Request, Response, Status};

use super::{
    Answer, RegistryService,
    lookup::{listed, token_id, token_of},
    mask::Mask,
};
use crate::call::{caller::Caller, errors::no_randomness};

/// How long the old secret of a token still signs after a rotation: the default and the maximum.
const DEFAULT_OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);
const MAX_OVERLAP: Duration = Duration::from_secs(30 * 24 * 60 * 60);
pub(super) const FIELDS: [&str; 1] = ["name"];

impl RegistryService {
    pub(super) async fn create_token(
        &self,
        caller: Caller,
        request: Request<api::CreateTokenRequest>,
    ) -> Answer<api::CreateTokenResponse> {
        let request = request.into_inner();
        let mut fields = Violations::default();
        let named = fields.note(caller.account_and(&request.account_id, request_id(&request.request_id)));
        let unknown = || WrongField::new("algorithm", "is neither hmac-sha256 nor ed25519");
        let algorithm = fields.note(Algorithm::parse(&request.algorithm).ok_or_else(unknown));
        let new = fields.note(NewSecret::of(request.imported));
        if let (Some(new), Some(algorithm)) = (&new, algorithm) {
            fields.note(new.check(algorithm));
        }
        let ((account, request_id), algorithm, new) = fields.end(|| Some((named?, algorithm?, new?)))?;
        let id = TokenId::of_request(&account, &request_id);
        let sealed = self.sealed(&account, &id, &new.secret)?;
        let secrets = vec![TokenSecret { sealed, created_at: Timestamp::now(), expires_at: None }];
        let token =
            Token { account: account.clone(), id: id.clone(), name: request.name, algorithm, secrets, deleted: false };
        let find = |registry: &Registry| token_of(registry, &account, &id).map(|token| token_to_api(token));
        let made = self.changes.make_once(&caller, Command::CreateToken(token), find).await?;
        let secret = if made.by_this_call { new.for_receiver(algorithm) } else { String::new() };
        Ok(Response::new(api::CreateTokenResponse { token: Some(made.found), secret }))
    }

    pub(super) async fn get_token(&self, caller: Caller, request: Request<api::GetTokenRequest>) -> Answer<api::Token> {
        let (request, registry) = (request.get_ref(), self.registry.snapshot());
        let (account, id) = caller.account_and(&request.account_id, token_id(&request.token_id))?;
        Ok(Response::new(token_to_api(token_of(&registry, &account, &id)?)))
    }

    pub(super) async fn update_token(
        &self,
        caller: Caller,
        request: Request<api::UpdateTokenRequest>,
    ) -> Answer<api::Token> {
        let request = request.into_inner();
        let new = given("token", request.token)?;
        let mut fields = Violations::default();
        Mask::read(&mut fields, request.update_mask.as_ref(), &FIELDS);
        let named = fields.note(caller.account_and(&new.account_id, token_id(&new.token_id)));
        let (account, id) = fields.end(|| named)?;
        let update = |registry: &Registry| {
            let now = Token::clone(token_of(registry, &account, &id)?);
            Ok(Command::UpdateToken(Token { name: new.name, ..now }))
        };
        let registry = self.changes.make(&caller, update).await?;
        Ok(Response::new(token_to_api(token_of(&registry, &account, &id)?)))
    }

    pub(super) async fn list_tokens(
        &self,
        caller: Caller,
        request: Request<api::ListTokensRequest>,
    ) -> Answer<api::ListTokensResponse> {
        let (request, registry) = (request.get_ref(), self.registry.snapshot());
        let part = (request.page_size, request.page_token.as_str());
        let (entry, listing) = listed(&caller, &registry, &request.account_id, ("tokens", ()), part)?;
        let existing = entry.tokens().filter(|token| !token.deleted);
        let (tokens, next_page_token) = listing.cut(existing, |token| token.id.as_str(), |token| token_to_api(token));
        Ok(Response::new(api::ListTokensResponse { tokens, next_page_token }))
    }

    pub(super) async fn rotate_token(
        &self,
        caller: Caller,
        request: Request<api::RotateTokenRequest>,
    ) -> Answer<api::RotateTokenResponse> {
        let r = request.into_inner();
        let mut fields = Violations::default();
        let named = fields.note(caller.account_and(&r.account_id, token_id(&r.token_id)));
        let overlap = r.overlap.as_ref().map_or(Some(DEFAULT_OVERLAP), duration);
        let overlap = overlap.filter(|overlap| *overlap <= MAX_OVERLAP);
        let overlap = fields.note(overlap.ok_or_else(|| WrongField::new("overlap", "is not from 0 s to 30 days")));
        let new = fields.note(NewSecret::of(r.imported));
        let ((account, id), overlap, new) = fields.end(|| Some((named?, overlap?, new?)))?;
        let sealed = self.sealed(&account, &id, &new.secret)?;
        let rotate = |registry: &Registry| {
            let token = Token::clone(token_of(registry, &account, &id)?);
            new.check(token.algorithm)?;
            Ok(Command::UpdateToken(token.rotated(sealed, Timestamp::now(), overlap)))
        };
        let registry = self.changes.make(&caller, rotate).await?;
        let token = token_of(&registry, &account, &id)?;
        let secret = new.for_receiver(token.algorithm);
        Ok(Response::new(api::RotateTokenResponse { token: Some(token_to_api(token)), secret }))
    }

    pub(super) async fn delete_token(
        &self,
        caller: Caller,
        request: Request<api::DeleteTokenRequest>,
    ) -> Answer<api::DeleteTokenResponse> {
        let r = request.get_ref();
        let (account, id) = caller.account_and(&r.account_id, token_id(&r.token_id))?;
        self.changes.make(&caller, |_| Ok(Command::DeleteToken(account, id))).await?;
        Ok(Response::new(api::DeleteTokenResponse {}))
    }

    fn sealed(&self, account: &AccountId, token: &TokenId, secret: &Secret) -> Result<SealedSecret, Status> {
        let sealed = self.key.seal(secret, &Token::belongs_to(account, token));
        sealed.map(SealedSecret).map_err(|e| no_randomness(&e))
    }
}

struct NewSecret {
    secret: Secret,
    was_imported: bool,
}

impl NewSecret {
    fn of(imported: Option<api::ImportedSecret>) -> Result<Self, Status> {
        let Some(imported) = imported else {
            let secret = Secret::generate().map_err(|e| no_randomness(&e))?;
            return Ok(Self { secret, was_imported: false });
        };
        use api::imported_secret::Secret as Given;
        let given = imported.secret.ok_or_else(|| invalid("imported", "is empty; give whsec, utf8, hex or base64"))?;
        let (field, secret) = match given {
            Given::Whsec(text) => ("imported.whsec", Secret::import_whsec(&text)),
            Given::Utf8(text) => ("imported.utf8", Secret::import_raw(&text, RawFormat::Utf8)),
            Given::Hex(text) => ("imported.hex", Secret::import_raw(&text, RawFormat::Hex)),
            Given::Base64(text) => ("imported.base64", Secret::import_raw(&text, RawFormat::Base64)),
        };
        Ok(Self { secret: secret.map_err(|e| invalid(field, e))?, was_imported: true })
    }

    fn check(&self, algorithm: Algorithm) -> Result<(), Status> {
        if self.was_imported && algorithm != Algorithm::HmacSha256 {
            let problem = "is a secret that sender and receiver share; only tokens of hmac-sha256 have one";
            return Err(invalid("imported", problem));
        }
        Ok(())
    }

    /// The secret for the receiver of the token's signatures; empty if the receiver has it already.
    fn for_receiver(self, algorithm: Algorithm) -> String {
        match (self.was_imported, algorithm) {
            (true, _) => String::new(),
            (false, Algorithm::HmacSha256) => Signer::Hmac(self.secret).reveal_for_receiver(),
            (false, Algorithm::Ed25519) => Signer::Ed25519(self.secret).reveal_for_receiver(),
        }
    }
}

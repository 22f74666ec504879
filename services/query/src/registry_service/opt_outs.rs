//! Opt-outs: the addresses that refused a kind of mail. People opt out by a link in the mail; the notifier serves it.

use api::{
    registry::{id, opt_out_to_api},
    status::refusal,
};
use domain::{OptOutId, registry::Command};
use tonic::{Request, Response};

use super::{Answer, RegistryService, parts::account_of};
use crate::{caller::Caller, listing::Listing};

impl RegistryService {
    pub(super) async fn list_opt_outs(
        &self,
        caller: Caller,
        request: Request<api::ListOptOutsRequest>,
    ) -> Answer<api::ListOptOutsResponse> {
        let (request, registry) = (request.get_ref(), self.registry.snapshot());
        let entry = account_of(&registry, &caller.account(&request.account_id)?)?;
        let listing = Listing::of(request.page_size, &request.page_token, ("opt_outs", &entry.account.id))?;
        let existing = entry.opt_outs();
        let (opt_outs, next_page_token) = listing.cut(existing, |opt_out| opt_out.id.as_str(), opt_out_to_api);
        Ok(Response::new(api::ListOptOutsResponse { opt_outs, next_page_token }))
    }

    pub(super) async fn delete_opt_out(
        &self,
        caller: Caller,
        request: Request<api::DeleteOptOutRequest>,
    ) -> Answer<api::DeleteOptOutResponse> {
        let request = request.get_ref();
        let account = caller.account(&request.account_id)?;
        let id = id("opt_out_id", &request.opt_out_id, OptOutId::parse).map_err(|e| refusal(&e))?;
        self.changes.make(&caller, |_| Ok(Command::DeleteOptOut(account, id))).await?;
        Ok(Response::new(api::DeleteOptOutResponse {}))
    }
}

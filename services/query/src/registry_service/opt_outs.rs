//! Opt-outs: the addresses whose owners refused a kind of mail. People opt out with a link in a mail; the notifier
//! serves the page behind it.

use api::{registry::opt_out_to_api, request::required};
use domain::{OptOutId, registry::Command};
use tonic::{Request, Response};

use super::{Answer, RegistryService, lookup::listed};
use crate::call::caller::Caller;

impl RegistryService {
    pub(super) async fn list_opt_outs(
        &self,
        caller: Caller,
        request: Request<api::ListOptOutsRequest>,
    ) -> Answer<api::ListOptOutsResponse> {
        let (request, registry) = (request.get_ref(), self.registry.snapshot());
        let part = (request.page_size, request.page_token.as_str());
        let (entry, listing) = listed(&caller, &registry, &request.account_id, ("opt_outs", ()), part)?;
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
        let id = required("opt_out_id", &request.opt_out_id, OptOutId::parse);
        let (account, id) = caller.account_and(&request.account_id, id)?;
        self.changes.make(&caller, |_| Ok(Command::DeleteOptOut(account, id))).await?;
        Ok(Response::new(api::DeleteOptOutResponse {}))
    }
}

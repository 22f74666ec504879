//! Who does not want to be mailed about what. People say so by the link in a mail, which the notifier answers.

use domain::{OptOutId, registry::Command};
use tonic::{Request, Response};
use wire::{
    api,
    registry_api::{id, opt_out_to_api},
    status::refusal,
};

use super::{Answer, RegistryService, parts::account_of};
use crate::caller::Caller;

impl RegistryService {
    pub(super) async fn list_opt_outs(
        &self,
        caller: Caller,
        request: Request<api::ListOptOutsRequest>,
    ) -> Answer<api::ListOptOutsResponse> {
        let registry = self.registry.snapshot();
        let entry = account_of(&registry, &caller.account(&request.get_ref().account_id)?)?;
        Ok(Response::new(api::ListOptOutsResponse { opt_outs: entry.opt_outs().map(opt_out_to_api).collect() }))
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

//! What a lane has to do.

use crate::work_item::WorkItem;

#[derive(Debug)]
pub(crate) enum Order {
    Do(Box<WorkItem>),
    LookForParked,
}

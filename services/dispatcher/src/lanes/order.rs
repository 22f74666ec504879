//! The orders that a lane takes: work on an item, or look for parked work.

use crate::work_item::WorkItem;

#[derive(Debug)]
pub(crate) enum Order {
    Do(Box<WorkItem>),
    LookForParked,
}

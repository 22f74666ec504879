//! What the facts of a job add up to. They are stored under the expectation of the one before, so they come in their
//! order; one that comes twice changes nothing.

use jiff::Timestamp;

use super::facts::{
    Counts, JobCancelRequested, JobFact, JobFinished, JobOutcome, JobProgressed, JobRef, JobStarted, Progress,
};
use crate::ids::JobId;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// It is worked on, or waits for somebody to do so.
    Running,
    /// It is to end.
    Cancelling,
    /// It went through everything.
    Completed,
    /// Somebody cancelled it.
    Cancelled,
    /// It could not go on.
    Failed,
}

impl JobStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [Self::Running, Self::Cancelling, Self::Completed, Self::Cancelled, Self::Failed];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }

    /// Whether there is something left to do.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Running | Self::Cancelling)
    }
}

/// A history that cannot have happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IllegalJob {
    /// A fact of one job was folded into another.
    #[error("a fact about job {fact} was folded into job {state}")]
    OtherJob {
        /// The job of the state.
        state: JobId,
        /// The job of the fact.
        fact: JobId,
    },
    /// Nothing comes before the start.
    #[error("job {0} has a fact from before its start")]
    NotStarted(JobId),
}

/// A job as its facts tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// How it began.
    pub started: JobStarted,
    /// How far it is.
    pub progress: Progress,
    /// When that was recorded.
    pub updated_at: Timestamp,
    /// Who wanted it to end, if somebody did; the first to say so.
    pub cancel: Option<JobCancelRequested>,
    /// How it ended, if it did.
    pub finished: Option<JobFinished>,
}

impl Job {
    /// Adds a fact to what is known.
    ///
    /// # Errors
    /// When the fact cannot belong to this history.
    pub fn evolve(state: Option<Self>, fact: &JobFact) -> Result<Self, IllegalJob> {
        let id = fact.reference().job;
        let Some(mut job) = state else {
            let JobFact::Started(started) = fact else { return Err(IllegalJob::NotStarted(id)) };
            return Ok(Self::begun(started.clone()));
        };
        if job.id() != id {
            return Err(IllegalJob::OtherJob { state: job.id(), fact: id });
        }
        match fact {
            JobFact::Progressed(f) if f.progress.step > job.progress.step => {
                job.progress = f.progress.clone();
                job.updated_at = f.at;
            }
            JobFact::CancelRequested(f) if job.cancel.is_none() => job.cancel = Some(f.clone()),
            JobFact::Finished(f) if job.finished.is_none() => {
                job.updated_at = f.at;
                job.finished = Some(f.clone());
            }
            // It came before.
            JobFact::Started(_) | JobFact::Progressed(_) | JobFact::CancelRequested(_) | JobFact::Finished(_) => {}
        }
        Ok(job)
    }

    fn begun(started: JobStarted) -> Self {
        Self { updated_at: started.at, started, progress: Progress::default(), cancel: None, finished: None }
    }

    /// The fewest facts that add up to this: what a read model keeps of a job.
    pub fn facts(&self) -> Vec<JobFact> {
        let mut facts = vec![JobFact::Started(self.started.clone())];
        if self.progress.step > 0 {
            // The time of the end is that of the last word.
            let (reference, progress) = (self.reference().clone(), self.progress.clone());
            facts.push(JobFact::Progressed(JobProgressed {
                reference,
                progress,
                refused: vec![],
                at: self.updated_at,
            }));
        }
        facts.extend(self.cancel.clone().map(JobFact::CancelRequested));
        facts.extend(self.finished.clone().map(JobFact::Finished));
        facts
    }

    /// Which it is.
    pub const fn reference(&self) -> &JobRef {
        &self.started.reference
    }

    /// Its id.
    pub const fn id(&self) -> JobId {
        self.started.reference.job
    }

    /// What it came to so far.
    pub fn counts(&self) -> &Counts {
        self.finished.as_ref().map_or(&self.progress.counts, |finished| &finished.counts)
    }

    /// Where it stands.
    pub fn status(&self) -> JobStatus {
        match (&self.finished, &self.cancel) {
            (Some(JobFinished { outcome: JobOutcome::Completed, .. }), _) => JobStatus::Completed,
            (Some(JobFinished { outcome: JobOutcome::Cancelled, .. }), _) => JobStatus::Cancelled,
            (Some(JobFinished { outcome: JobOutcome::DestinationDeleted, .. }), _) => JobStatus::Failed,
            (None, Some(_)) => JobStatus::Cancelling,
            (None, None) => JobStatus::Running,
        }
    }
}

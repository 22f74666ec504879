//! The state of a job, folded from its facts. Each append expects the previous fact, so facts arrive in order. A fact
//! that arrives twice changes nothing.

use jiff::Timestamp;

use super::facts::{
    Counts, JobCancelRequested, JobFact, JobFinished, JobOutcome, JobProgressed, JobRef, JobStarted, Progress,
};
use crate::ids::JobId;

/// The status of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// A job runner works on the job, or will soon.
    Running,
    /// A caller asked for the end of the job.
    Cancelling,
    /// The job handled everything.
    Completed,
    /// A caller cancelled the job.
    Cancelled,
    /// The job could not continue.
    Failed,
}

impl JobStatus {
    pub const ALL: [Self; 5] = [Self::Running, Self::Cancelling, Self::Completed, Self::Cancelled, Self::Failed];

    /// The word that the API uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }

    /// Whether the job has not ended.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Running | Self::Cancelling)
    }
}

/// Why a fact cannot belong to the history of a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IllegalJob {
    /// The fact belongs to another job.
    #[error("a fact about job {fact} was folded into job {state}")]
    OtherJob {
        /// The job of the state.
        state: JobId,
        /// The job of the fact.
        fact: JobId,
    },
    /// The fact is about a job without a start.
    #[error("job {0} has a fact before its start")]
    NotStarted(JobId),
}

/// The state of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub started: JobStarted,
    pub progress: Progress,
    /// When the job started, last made progress, or ended.
    pub updated_at: Timestamp,
    /// The first request to end the job; `None` if there is none.
    pub cancel: Option<JobCancelRequested>,
    /// The end; `None` if the job has not ended.
    pub finished: Option<JobFinished>,
}

impl Job {
    /// Folds a fact into the state.
    ///
    /// # Errors
    /// If the fact cannot belong to this history.
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
            // The state includes the fact already.
            JobFact::Started(_) | JobFact::Progressed(_) | JobFact::CancelRequested(_) | JobFact::Finished(_) => {}
        }
        Ok(job)
    }

    fn begun(started: JobStarted) -> Self {
        Self { updated_at: started.at, started, progress: Progress::default(), cancel: None, finished: None }
    }

    /// The smallest list of facts that fold to this state. The read model stores it.
    pub fn facts(&self) -> Vec<JobFact> {
        let mut facts = vec![JobFact::Started(self.started.clone())];
        if self.progress.step > 0 {
            let (reference, progress) = (self.reference().clone(), self.progress.clone());
            facts.push(JobFact::Progressed(JobProgressed {
                reference,
                progress,
                refused: vec![],
                // The time of the end, if the job has ended. Then the last fact sets the same time again.
                at: self.updated_at,
            }));
        }
        facts.extend(self.cancel.clone().map(JobFact::CancelRequested));
        facts.extend(self.finished.clone().map(JobFact::Finished));
        facts
    }

    pub const fn reference(&self) -> &JobRef {
        &self.started.reference
    }

    pub const fn id(&self) -> JobId {
        self.started.reference.job
    }

    pub fn counts(&self) -> &Counts {
        self.finished.as_ref().map_or(&self.progress.counts, |finished| &finished.counts)
    }

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

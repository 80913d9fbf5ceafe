//! The end of a run: everything is well again, everybody is answered, and all processes agree.

use std::sync::Arc;
use std::time::Duration;

use lark_service::error::{Error, LoginEnd};
use lark_service::tokens::SharedToken;
use lark_service_tests::world::{Parts, Process};

use crate::gate::{Gates, Mode};
use crate::schedule::Schedule;
use crate::tiers::GatedStore;
use crate::work::{Work, told};

/// Longer than a process trusts what it remembers.
const TRUSTED: Duration = Duration::from_secs(6);

impl Schedule {
    /// Everything is well again, and a minute passes: every caller is answered, and all processes agree.
    pub(crate) async fn end(&mut self) -> Result<(), String> {
        self.note("heal", "");
        for running in &mut self.running {
            running.is_frozen = false;
        }
        for _ in 0..3_000 {
            let alive = self.alive();
            if alive
                .iter()
                .all(|number| self.running[*number].callers == 0)
            {
                break;
            }
            let waiting: Vec<_> = alive
                .iter()
                .flat_map(|number| std::mem::take(&mut self.running[*number].waiting))
                .collect();
            if waiting.is_empty() {
                self.advance(Duration::from_millis(250)).await?;
            }
            for arrival in waiting {
                let _ = arrival.go.send(Mode::Pass);
            }
            self.settle(None).await?;
            self.observer.look(&self.world).await?;
        }
        for number in self.alive() {
            let callers = self.running[number].callers;
            if callers > 0 {
                return Err(format!("{callers} callers of {number} wait for ever"));
            }
        }
        self.agree().await
    }

    async fn agree(&mut self) -> Result<(), String> {
        self.advance(Duration::from_secs(1_000)).await?;
        let (sound, cold) = (self.sound_process(), self.sound_process());
        let run = self.ask(&sound, Work::Run).await?;
        run.map_err(|error| format!("a sound process cannot run: {error}"))?;
        self.advance(TRUSTED).await?;
        for process in [&sound, &cold] {
            let token = self.ask(process, Work::Token).await?;
            token.map_err(|error| format!("a sound process gets no token: {error}"))?;
            let outcome = self.ask(process, Work::UserToken).await?;
            self.check_login(outcome)?;
        }
        self.observer.look(&self.world).await
    }

    /// A process that nothing happens to.
    fn sound_process(&self) -> Process {
        let store = GatedStore {
            store: self.world.shared_store(),
            gates: Gates::open(Arc::clone(&self.busy)),
        };
        let parts = Parts {
            store: Arc::new(store),
            cache: Arc::clone(&self.world.cache) as _,
            fast: Duration::ZERO,
        };
        self.world.process_of(parts, &[])
    }

    /// The answer of a process without gates, while time passes.
    async fn ask(
        &mut self,
        process: &Process,
        work: Work,
    ) -> Result<Result<Option<SharedToken>, Error>, String> {
        let (process, open_id) = (process.clone(), self.open_id.clone());
        let control = self.world.control().clone();
        let asking = tokio::spawn(async move { work.of(&process, &control, &open_id).await });
        for _ in 0..1_000 {
            self.settle(None).await?;
            if asking.is_finished() {
                let outcome = asking.await.map_err(|error| error.to_string())?;
                self.note("sound", format_args!("{work:?} {}", told(&outcome)));
                return Ok(outcome);
            }
            self.advance(Duration::from_millis(100)).await?;
        }
        Err(format!("{work:?} of a sound process takes for ever"))
    }

    fn check_login(&self, outcome: Result<Option<SharedToken>, Error>) -> Result<(), String> {
        let counters = self.world.control().counters();
        let end = match outcome {
            Ok(_) if self.is_logged_in == Some(false) => {
                return Err("a logout was undone".to_owned());
            }
            Ok(_) => return Ok(()),
            Err(Error::ReauthorizationRequired { end, .. }) => end,
            Err(error) => return Err(format!("a sound process gets no user token: {error}")),
        };
        match (end, self.is_logged_in) {
            (LoginEnd::NotLoggedIn, Some(true)) => Err("a login vanished".to_owned()),
            (LoginEnd::NotLoggedIn, _) => Ok(()),
            (end, _) if self.may_cost_login && counters.refresh_rejected > 0 => {
                let _ = end;
                Ok(())
            }
            (end, _) => Err(format!("a login was lost: {end}")),
        }
    }
}

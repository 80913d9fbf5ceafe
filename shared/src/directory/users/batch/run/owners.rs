//! Whose the addresses of a batch are.

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};

use super::{CHUNK, CONCURRENT_CALLS, Missing, Run};
use crate::directory::tiers::{IdKind, ItemId};
use crate::error::{Error, Result};
use crate::lark::contacts;
use crate::lark::contacts::Contact;

/// The owners of the addresses of a chunk.
struct Resolved {
    contacts: Vec<Contact>,
    answer: Result<Vec<Option<String>>>,
}

impl Run<'_> {
    /// Asks Lark for the owners of `contacts`; returns the owners that need a fetch.
    pub(in crate::directory::users::batch) async fn resolve(
        &mut self,
        contacts: Vec<Contact>,
    ) -> Vec<Missing> {
        if contacts.is_empty() {
            return Vec::new();
        }
        let inquiry = self.users.inner.tiers.inquire().await;
        let calls: Vec<BoxFuture<'_, Resolved>> = chunks_of(contacts)
            .into_iter()
            .map(|chunk| self.resolve_chunk(chunk).boxed())
            .collect();
        let answers: Vec<Resolved> = stream::iter(calls)
            .buffer_unordered(CONCURRENT_CALLS)
            .collect()
            .await;
        let (mut led, mut absent) = (Vec::new(), Vec::new());
        for resolved in answers {
            let asked = resolved.contacts.iter().map(Contact::item_id);
            match resolved.answer {
                Ok(open_ids) => {
                    for (asked, open_id) in asked.zip(open_ids) {
                        match open_id {
                            Some(to) => led.push((asked, ItemId::new(IdKind::OpenId, to))),
                            None => absent.push(asked),
                        }
                    }
                }
                Err(error) => {
                    let failed = asked.map(|asked| (asked, Err(error.clone())));
                    self.outcomes.extend(failed);
                }
            }
        }
        self.keep_leads(&led, absent, inquiry).await;
        self.follow(led).await
    }

    async fn resolve_chunk(&self, contacts: Vec<Contact>) -> Resolved {
        let request = contacts::find_users(&contacts);
        let platform = &self.users.inner.platform;
        let answer = platform.send(self.context, &request, self.deadline).await;
        if let Ok(found) = &answer
            && found.iter().all(Option::is_none)
        {
            self.context.found_nothing().await;
        }
        Resolved {
            answer: answer.map_err(Error::from),
            contacts,
        }
    }
}

/// Chunks of fifty of each sort, the most that a call takes.
fn chunks_of(contacts: Vec<Contact>) -> Vec<Vec<Contact>> {
    let is_email = |contact: &Contact| matches!(contact, Contact::Email(_));
    let (emails, mobiles): (Vec<_>, Vec<_>) = contacts.into_iter().partition(is_email);
    let calls = emails.len().max(mobiles.len()).div_ceil(CHUNK);
    let (mut emails, mut mobiles) = (emails.chunks(CHUNK), mobiles.chunks(CHUNK));
    let mut next = || {
        let sorts = [emails.next(), mobiles.next()].into_iter().flatten();
        sorts.flatten().cloned().collect()
    };
    (0..calls).map(|_| next()).collect()
}

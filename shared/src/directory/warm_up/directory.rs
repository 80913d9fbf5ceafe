//! Reading an app's whole directory: every profile into the tiers, every id into a filter.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use bytes::Bytes;
use tracing::info;

use super::draft::Draft;
use super::{Report, SHORTEST_CALL, Warmer};
use crate::apps::AppContext;
use crate::cache::Put;
use crate::deadline::Deadline;
use crate::directory::guard::filter::MAX_IDS;
use crate::directory::tiers::{AppTenant, BatchAnswer, Inquiry};
use crate::directory::users::item_of;
use crate::error::{Error, Result};
use crate::lark::contacts::User;
use crate::lark::departments::{DepartmentId, DepartmentIdKind};
use crate::lark::{Below, MAX_DEPARTMENT_PAGE};
use crate::lark::{Request, departments};
use crate::page::{Page, PageRequest};
use crate::seal::Purpose;

/// A directory with more users is not read.
const MAX_MEMBERS: u64 = (MAX_IDS / 3) as u64;
/// A directory with more departments is not read.
const MAX_DEPARTMENTS: usize = 50_000;
/// The progress is saved after every so many pages.
const PAGES_TO_CHECKPOINT: u32 = 50;
/// How long a partly read directory can be resumed.
const DRAFT_LIFE: Duration = Duration::from_secs(3 * 3_600);

impl Warmer {
    /// Reads the directory, from where the last run stopped if the user count has not changed since.
    pub(super) async fn read_directory(
        &self,
        context: &AppContext,
        report: &mut Report,
        work: Deadline,
    ) -> Result<()> {
        let app_tenant = AppTenant::of(context);
        let members = self.user_count.members(context, work).await;
        let Some(members) = members.filter(|members| *members <= MAX_MEMBERS) else {
            info!(
                lark.app_id = app_tenant.app_id.as_str(),
                "the app may not read the whole directory, or it is too large"
            );
            return Ok(());
        };
        let mut draft = match self.draft(&app_tenant).await {
            Some(draft) if draft.filter.members == members => draft,
            Some(_) | None => Draft::new(members, self.clock.now()),
        };
        let outcome = self
            .read_departments(context, &app_tenant, &mut draft, report, work)
            .await;
        if outcome.is_err() {
            self.save(&app_tenant, &draft).await;
            return outcome;
        }
        self.drop_draft(&app_tenant).await;
        // A user created while the directory was read may be missing.
        let is_unchanged = self.user_count.members(context, work).await == Some(members);
        if is_unchanged && draft.has_everybody() {
            self.guard.publish(&app_tenant, draft.filter).await;
            report.filters = 1;
        } else {
            info!(
                lark.app_id = app_tenant.app_id.as_str(),
                members,
                seen = draft.users,
                "the directory changed or was not shown whole: no filter"
            );
        }
        Ok(())
    }

    async fn read_departments(
        &self,
        context: &AppContext,
        app_tenant: &AppTenant,
        draft: &mut Draft,
        report: &mut Report,
        work: Deadline,
    ) -> Result<()> {
        let departments = self.departments(context, work).await?;
        let mut pages = 0;
        for department in departments {
            if draft.done.as_ref().is_some_and(|done| *done >= department) {
                continue;
            }
            let id = DepartmentId::parse(DepartmentIdKind::OpenDepartmentId, &department)?;
            loop {
                let (page, inquiry) = self.users_page(context, &id, draft, work).await?;
                page.items.iter().for_each(|user| draft.add(user));
                report.directory_users += page.items.len() as u64;
                self.keep(app_tenant, &page.items, inquiry, work).await;
                draft.page_token = page.next_page_token;
                pages += 1;
                if pages % PAGES_TO_CHECKPOINT == 0 {
                    self.save(app_tenant, draft).await;
                }
                if draft.page_token.is_none() {
                    break;
                }
            }
            draft.done = Some(department);
            report.departments += 1;
        }
        Ok(())
    }

    /// The ids of all departments including the root, in order.
    async fn departments(&self, context: &AppContext, work: Deadline) -> Result<BTreeSet<String>> {
        let root = DepartmentId::root();
        let mut ids = BTreeSet::from([root.as_str().to_owned()]);
        let mut page = PageRequest::first(MAX_DEPARTMENT_PAGE);
        loop {
            let request = departments::list_children(&root, Below::All, &page);
            let children = self.ask(context, &request, work).await?;
            let found = children.items.into_iter();
            ids.extend(found.filter_map(|department| department.open_department_id));
            if ids.len() > MAX_DEPARTMENTS {
                return Err(Error::internal("the directory has too many departments"));
            }
            match children.next_page_token {
                Some(token) => page.page_token = Some(token),
                None => return Ok(ids),
            }
        }
    }

    async fn users_page(
        &self,
        context: &AppContext,
        id: &DepartmentId,
        draft: &Draft,
        work: Deadline,
    ) -> Result<(Page<User>, Inquiry)> {
        let page = PageRequest {
            page_size: MAX_DEPARTMENT_PAGE,
            page_token: draft.page_token.clone(),
        };
        let inquiry = self.tiers.inquire().await;
        let request = departments::list_users(id, &page);
        Ok((self.ask(context, &request, work).await?, inquiry))
    }

    async fn ask<T>(
        &self,
        context: &AppContext,
        request: &Request<T>,
        work: Deadline,
    ) -> Result<T> {
        if work.remaining() < SHORTEST_CALL {
            return Err(Error::DeadlineExceeded);
        }
        Ok(self.platform.send(context, request, work).await?)
    }

    async fn keep(&self, app_tenant: &AppTenant, users: &[User], inquiry: Inquiry, work: Deadline) {
        let nobody_asked = HashSet::new();
        let arrival = BatchAnswer {
            inquiry,
            locally: false,
            asked: &nobody_asked,
        };
        let items = users.iter().filter_map(item_of).collect();
        self.tiers
            .keep_many(app_tenant, items, Vec::new(), arrival, work)
            .await;
    }

    async fn draft(&self, app_tenant: &AppTenant) -> Option<Draft> {
        let cache = self.cache.as_ref()?;
        let key = draft_key(app_tenant);
        let found = cache.get_large(Purpose::Guard, &key).await.ok()??;
        let draft = Draft::from_bytes(&found.value)?;
        (draft.filter.built_at + DRAFT_LIFE > self.clock.now()).then_some(draft)
    }

    async fn save(&self, app_tenant: &AppTenant, draft: &Draft) {
        let Some(cache) = &self.cache else { return };
        let version = u64::try_from(self.clock.now().as_millis()).unwrap_or(0);
        let put = Put {
            key: draft_key(app_tenant),
            version,
            value: Bytes::from(draft.to_bytes()),
            ttl: DRAFT_LIFE,
        };
        // If this is lost, the directory is read from the beginning again.
        let _ = cache.put_newer_many(Purpose::Guard, &[put]).await;
    }

    async fn drop_draft(&self, app_tenant: &AppTenant) {
        if let Some(cache) = &self.cache {
            let _ = cache.client().delete(&draft_key(app_tenant)).await;
        }
    }
}

fn draft_key(app_tenant: &AppTenant) -> String {
    format!("lark:guard-draft:{app_tenant}")
}

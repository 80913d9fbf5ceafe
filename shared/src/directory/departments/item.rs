//! A department as a cached item: stored under the platform's id; the tenant's id points to it.

use crate::directory::tiers::{IdKind, Item, ItemId, Loaded};
use crate::lark::departments::{Department, DepartmentId, DepartmentIdKind};

/// The load result for `department`, which was requested by `id`.
///
/// Lark names the parent department by the kind of id in the request. A cached item serves all callers, so a request by the
/// tenant's id is redirected to the platform's id, unless the parent is the root, which has the same id of either kind.
pub(super) fn loaded(department: &Department, id: &DepartmentId) -> Loaded {
    let kept = kept_under(department).map_or_else(|| id.item_id(), |open| open.item_id());
    let above = department.parent_department_id.as_deref();
    let is_for_all = id.kind() == DepartmentIdKind::OpenDepartmentId
        || above.is_none_or(|above| above == DepartmentId::root().as_str());
    if !is_for_all && kept != id.item_id() {
        return Loaded::Pointer(kept);
    }
    Loaded::Found {
        item: Item {
            aliases: aliases(department, &kept),
            id: kept,
            body: serde_json::to_string(department).expect("a department is plain data"),
        },
        others: Vec::new(),
    }
}

fn kept_under(department: &Department) -> Option<DepartmentId> {
    DepartmentId::open(department.open_department_id.as_deref()?)
}

fn aliases(department: &Department, kept: &ItemId) -> Vec<ItemId> {
    let own = department.department_id.as_deref();
    let own = own.and_then(|text| DepartmentId::parse(DepartmentIdKind::DepartmentId, text).ok());
    let own = own.map(|own| own.item_id());
    own.filter(|own| own != kept).into_iter().collect()
}

impl DepartmentId {
    /// The id that it is cached under.
    pub(super) fn item_id(&self) -> ItemId {
        let kind = match self.kind() {
            DepartmentIdKind::OpenDepartmentId => IdKind::OpenDepartmentId,
            DepartmentIdKind::DepartmentId => IdKind::DepartmentId,
        };
        ItemId::new(kind, self.as_str())
    }

    /// Reads what [`DepartmentId::item_id`] made.
    pub(super) fn of_item(id: &ItemId) -> Option<Self> {
        let mut kinds = DepartmentIdKind::ALL.into_iter();
        let kind = kinds.find(|kind| kind.as_str() == id.kind.as_str())?;
        Self::parse(kind, &id.text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: DepartmentIdKind = DepartmentIdKind::OpenDepartmentId;
    const OWN: DepartmentIdKind = DepartmentIdKind::DepartmentId;

    fn department(open: Option<&str>, own: Option<&str>, above: &str) -> Department {
        Department {
            open_department_id: open.map(str::to_owned),
            department_id: own.map(str::to_owned),
            parent_department_id: Some(above.to_owned()),
            ..Department::default()
        }
    }

    #[track_caller]
    fn kept(department: &Department, kind: DepartmentIdKind, id: &str) -> (ItemId, Vec<ItemId>) {
        let id = DepartmentId::parse(kind, id).unwrap();
        let Loaded::Found { item, .. } = loaded(department, &id) else {
            panic!("it would not be kept");
        };
        (item.id, item.aliases)
    }

    #[test]
    fn a_department_is_kept_under_the_platforms_id_and_found_through_the_tenants() {
        let open = ItemId::new(IdKind::OpenDepartmentId, "od-1");
        let own = ItemId::new(IdKind::DepartmentId, "D1");
        let sales = department(Some("od-1"), Some("D1"), "0");
        assert_eq!(
            kept(&sales, OPEN, "od-1"),
            (open.clone(), vec![own.clone()])
        );
        assert_eq!(kept(&sales, OWN, "D1"), (open, vec![own]));
    }

    #[test]
    fn one_that_names_its_parent_by_the_tenants_id_leads_to_the_platforms() {
        let emea = department(Some("od-2"), Some("D2"), "D1");
        let id = DepartmentId::parse(OWN, "D2").unwrap();
        let Loaded::Pointer(to) = loaded(&emea, &id) else {
            panic!("it would be kept for all");
        };
        assert_eq!(to, ItemId::new(IdKind::OpenDepartmentId, "od-2"));
    }

    #[test]
    fn ids_that_cannot_stand_in_a_key_are_left_out() {
        let odd = department(Some("od 1"), Some("D 1"), "0");
        let asked = ItemId::new(IdKind::DepartmentId, "D1");
        assert_eq!(kept(&odd, OWN, "D1"), (asked, Vec::new()));
        let silent = department(None, Some("D1"), "D0");
        let asked = ItemId::new(IdKind::DepartmentId, "D1");
        assert_eq!(kept(&silent, OWN, "D1"), (asked, Vec::new()));
    }

    #[test]
    fn ids_survive_being_kept() {
        for (kind, text) in [(OPEN, "od-1"), (OWN, "D096"), (OPEN, "0")] {
            let id = DepartmentId::parse(kind, text).unwrap();
            assert_eq!(DepartmentId::of_item(&id.item_id()), Some(id));
        }
        let user = ItemId::new(IdKind::OpenId, "ou_1");
        assert_eq!(DepartmentId::of_item(&user), None);
    }
}

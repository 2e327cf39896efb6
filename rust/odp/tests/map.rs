// SPDX-License-Identifier: GPL-2.0

//! Looking windows up: any order of putting in, taking out, marking and remembering, against a table
//! of what should be there.

use super::*;
use crate::{
    page::{PageRange, PageShift, UserVa},
    region::{shared::Shared, window, CpuPages},
    tests::{same, with_mm, Random},
};
use kernel::{mm::MmWithUser, sync::Arc};

/// Where windows may be: at both ends of an address space, and so near and far in between that the
/// array gets all its levels of nodes.
const PLACES: [usize; 10] = [
    0,
    1,
    2,
    63,
    64,
    4095,
    4096,
    1 << 18,
    (1 << 26) - 2,
    (1 << 26) - 1,
];

/// What should be at a place: whether there is a window, and whether it is marked as idle.
type Model = [Option<bool>; PLACES.len()];

/// The region of a whole address space.
fn region(mm: &MmWithUser) -> Result<Arc<Shared<CpuPages>>> {
    let all = PageRange::covering(UserVa::new(0), 1 << 47, PageShift::BASE)?;

    Arc::pin_init(Shared::new((), mm, all, true, PageShift::BASE), GFP_KERNEL)
}

/// Puts a window in, which stays in use.
fn insert(shared: &Shared<CpuPages>, mm: &MmWithUser, index: usize) -> Result {
    let window = PageShift::TWO_MIB;
    let start = UserVa::new((index as u64) << window.get());
    let range = PageRange::covering(start, window.bytes(), PageShift::BASE)?;
    let made = WindowBox::new(shared, mm, range, Memory::Patient)?;

    match shared.windows.insert(index, made, Memory::Patient) {
        Ok(_) => Ok(()),
        Err((error, _window)) => Err(error),
    }
}

/// Takes a window out, and ends its use. Returns whether there was one.
fn remove(shared: &Shared<CpuPages>, index: usize) -> bool {
    let rcu = rcu::read_lock();
    let Some(window) = shared.windows.get(index, &rcu) else {
        return false;
    };
    // It goes with its use, and not before.
    let early = window.write().retire();
    let free = window.write().leave_use();
    let window = NonNull::from(window);

    drop(rcu);
    if free {
        // SAFETY: We were told to.
        unsafe { window::free(window) };
    }
    free && !early
}

/// Whether the window at `index` is found, and is the right one.
fn is_found(shared: &Shared<CpuPages>, index: usize) -> Option<bool> {
    let rcu = rcu::read_lock();

    shared
        .windows
        .get(index, &rcu)
        .map(|window| window.index() == index)
}

/// Where the window is that was used last.
fn last(shared: &Shared<CpuPages>) -> Option<usize> {
    let rcu = rcu::read_lock();

    PLACES
        .into_iter()
        .find(|place| shared.windows.last(*place, &rcu).is_some())
}

fn remember(shared: &Shared<CpuPages>, index: usize) {
    let rcu = rcu::read_lock();

    if let Some(window) = shared.windows.get(index, &rcu) {
        window.remember(&window.read());
    }
}

/// [`WindowMap::next`] by the model.
fn model_next(model: &Model, from: usize, find: Find) -> Option<usize> {
    let places = PLACES.into_iter().zip(model);

    places
        .filter(|(place, there)| match find {
            Find::Any => *place >= from && there.is_some(),
            Find::Idle => *place >= from && **there == Some(true),
        })
        .map(|(place, _)| place)
        .next()
}

/// Whether all look-ups find what the model has.
fn agrees(shared: &Shared<CpuPages>, model: &Model, step: u32) -> bool {
    PLACES.into_iter().zip(model).all(|(place, there)| {
        let next = |find| {
            let is = shared.windows.next(place, find);
            same(
                fmt!("step {step}: next({place})"),
                is,
                model_next(model, place, find),
            )
        };
        let found = is_found(shared, place);

        same(
            fmt!("step {step}: get({place})"),
            found,
            there.map(|_| true),
        ) && next(Find::Any)
            && next(Find::Idle)
    })
}

#[kunit_tests(odp_map)]
mod suite {
    use super::*;

    #[test]
    fn an_empty_map_has_nothing() -> Result {
        with_mm(|mm| {
            let shared = region(mm)?;

            assert!(agrees(&shared, &Model::default(), 0));
            assert_eq!(last(&shared), None);
            shared.windows.mark_idle(1);
            shared.windows.clear_idle(2);
            assert!(shared.windows.next(0, Find::Idle).is_none());
            assert!(shared.windows.next(usize::MAX, Find::Any).is_none());
            Ok(())
        })
    }

    #[test]
    fn a_place_is_for_one_window() -> Result {
        with_mm(|mm| {
            let shared = region(mm)?;

            insert(&shared, mm, 7)?;
            let first = shared.windows.next(0, Find::Any);
            assert_eq!(insert(&shared, mm, 7), Err(EBUSY));
            assert_eq!(shared.windows.next(0, Find::Any), first);
            assert!(remove(&shared, 7));
            assert!(!remove(&shared, 7));
            insert(&shared, mm, 7)?;
            assert!(remove(&shared, 7));
            Ok(())
        })
    }

    #[test]
    fn a_window_that_goes_is_not_remembered() -> Result {
        with_mm(|mm| {
            let shared = region(mm)?;

            insert(&shared, mm, 1)?;
            insert(&shared, mm, 2)?;
            remember(&shared, 1);
            assert_eq!(last(&shared), Some(1));
            // Another one's going is no matter.
            assert!(remove(&shared, 2));
            assert_eq!(last(&shared), Some(1));
            assert!(remove(&shared, 1));
            assert_eq!(last(&shared), None);
            // Nor is one that comes to its place.
            insert(&shared, mm, 1)?;
            assert_eq!(last(&shared), None);
            assert!(remove(&shared, 1));
            Ok(())
        })
    }

    #[test]
    fn marks_go_with_the_window() -> Result {
        with_mm(|mm| {
            let shared = region(mm)?;

            insert(&shared, mm, 64)?;
            shared.windows.mark_idle(64);
            assert_eq!(shared.windows.next(0, Find::Idle), Some(64));
            assert!(remove(&shared, 64));
            insert(&shared, mm, 64)?;
            assert_eq!(shared.windows.next(0, Find::Idle), None);
            assert!(remove(&shared, 64));
            Ok(())
        })
    }

    #[test]
    fn a_map_agrees_with_a_model() -> Result {
        with_mm(|mm| {
            let shared = region(mm)?;
            let mut random = Random::new("a_map_agrees_with_a_model");
            let (mut model, mut used_last) = (Model::default(), None);

            for step in 0..2000 {
                let i = random.below(PLACES.len() as u64) as usize;
                let (place, there) = (PLACES[i], model[i]);

                match random.below(6) {
                    0 | 1 => {
                        let should = match there {
                            Some(_) => Err(EBUSY),
                            None => Ok(()),
                        };
                        assert!(same(fmt!("{step}"), insert(&shared, mm, place), should));
                        model[i] = there.or(Some(false));
                    }
                    2 => {
                        assert!(same(
                            fmt!("{step}"),
                            remove(&shared, place),
                            there.is_some()
                        ));
                        model[i] = None;
                        used_last = used_last.filter(|last| *last != place);
                    }
                    3 => {
                        shared.windows.mark_idle(place);
                        model[i] = there.map(|_| true);
                    }
                    4 => {
                        shared.windows.clear_idle(place);
                        model[i] = there.map(|_| false);
                    }
                    _ => {
                        remember(&shared, place);
                        used_last = there.map(|_| place).or(used_last);
                    }
                }
                assert!(agrees(&shared, &model, step));
                assert!(same(fmt!("step {step}: last"), last(&shared), used_last));
            }
            for place in PLACES {
                remove(&shared, place);
            }
            assert!(agrees(&shared, &Model::default(), u32::MAX));
            Ok(())
        })
    }
}

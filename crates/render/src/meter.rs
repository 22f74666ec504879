//! How much a template may do: everything that takes longer, or more memory, the larger a value is, is charged for its
//! size before it is done. So neither a value that grows with each step nor a loop over large values gets far.

use minijinja::{Error, ErrorKind, State, Value, value::ObjectRepr};

use crate::values::{Exact, Raw, is_placeholder};

/// How many bytes a template may read and write in all. What it makes is bounded by it, too: a request of 1 MiB with some
/// room for the steps on the way, and some ten milliseconds of a processor at most.
pub const MAX_WORK: usize = 16 * 1024 * 1024;
/// What each value costs besides its text: about what it takes in memory.
const VALUE: usize = 32;
/// How deep values may be nested that a template makes or a payload has.
const MAX_DEPTH: usize = domain::payload::MAX_DEPTH + 64;
/// How much longer a text may get when a list or an object of it is written as text: control characters are escaped.
pub(crate) const AS_TEXT: usize = 10;

/// What is left of [`MAX_WORK`].
#[derive(Debug)]
pub(crate) struct Meter {
    left: usize,
}

impl Default for Meter {
    fn default() -> Self {
        Self { left: MAX_WORK }
    }
}

impl Meter {
    pub(crate) fn of<'a>(state: &'a mut State<'_, '_>) -> &'a mut Self {
        state.get_or_insert_extension_with(Self::default)
    }

    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), Error> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                let problem =
                    format!("the template reads and writes more than {MAX_WORK} bytes for one request, the limit");
                Err(Error::new(ErrorKind::InvalidOperation, problem))
            }
        }
    }

    /// Charges for a whole value, and `times` for its texts.
    pub(crate) fn charge_for(&mut self, value: &Value, times: usize) -> Result<(), Error> {
        self.charge_nested(value, times, 0)
    }

    fn charge_nested(&mut self, value: &Value, times: usize, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        self.charge(VALUE)?;
        if is_placeholder(value) {
            return Ok(());
        }
        if let Some(text) = value.as_str() {
            return self.charge(text.len().saturating_mul(times));
        }
        if let Some(raw) = value.downcast_object_ref::<Raw>() {
            return self.charge(raw.0.len());
        }
        if let Some(exact) = value.downcast_object_ref::<Exact>() {
            return self.charge(exact.digits().len());
        }
        let Some(object) = value.as_object() else { return Ok(()) };
        match object.repr() {
            ObjectRepr::Map => {
                for (key, field) in object.try_iter_pairs().into_iter().flatten() {
                    self.charge_nested(&key, times, depth + 1)?;
                    self.charge_nested(&field, times, depth + 1)?;
                }
            }
            ObjectRepr::Seq | ObjectRepr::Iterable => {
                for item in object.try_iter().into_iter().flatten() {
                    self.charge_nested(&item, times, depth + 1)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Charges for a value without what is in it.
    pub(crate) fn charge_outside(&mut self, value: &Value) -> Result<(), Error> {
        let inside = match value.as_str() {
            Some(text) => text.len(),
            None if value.as_object().is_some() => value.len().unwrap_or_default().saturating_mul(VALUE),
            None => 0,
        };
        self.charge(inside.saturating_add(VALUE))
    }

    /// The same list, held in memory: the engine may represent a list as a computation that it repeats at each use.
    pub(crate) fn whole(&mut self, value: Value) -> Result<Value, Error> {
        let list = value.as_object().is_some_and(|o| matches!(o.repr(), ObjectRepr::Seq | ObjectRepr::Iterable));
        if !list || value.downcast_object_ref::<Vec<Value>>().is_some() || value.is_tuple() {
            return Ok(value);
        }
        let mut items = vec![];
        for item in value.try_iter()? {
            self.charge(VALUE)?;
            items.push(item);
        }
        Ok(Value::from_object(items))
    }
}

pub(crate) fn too_deep() -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("a value is nested more than {MAX_DEPTH} levels deep, the limit"))
}

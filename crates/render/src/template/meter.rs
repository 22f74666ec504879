//! The work limit of a template: an operation whose cost grows with the size of a value is charged before it runs. So
//! the limit soon stops a value that grows with each step, and a loop over large values.

use minijinja::{Error, ErrorKind, State, Value, value::ObjectRepr};

use crate::values::{Exact, Raw, is_placeholder};

/// Maximum number of bytes that a template may read and write in total, which also bounds its result. It is enough for
/// a request of 1 MiB with intermediate values, and takes at most about ten milliseconds of processor time.
pub const MAX_WORK: usize = 16 * 1024 * 1024;
/// The charge for a value besides its text: about its size in memory.
const VALUE_BYTES: usize = 32;
/// Maximum depth of nested values, in a payload or made by a template.
const MAX_DEPTH: usize = domain::payload::MAX_DEPTH + 64;
/// How many times longer a text can become inside a list or object that is written as text: control characters are
/// escaped.
pub(crate) const MAX_TEXT_GROWTH: usize = 10;

/// The part of [`MAX_WORK`] that is left for this template.
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
                let problem = format!(
                    "the template reads and writes more than {MAX_WORK} bytes for one request, which is the limit"
                );
                Err(Error::new(ErrorKind::InvalidOperation, problem))
            }
        }
    }

    /// Charges for a value with all values inside it. The bytes of each text are charged `times` times.
    pub(crate) fn charge_for(&mut self, value: &Value, times: usize) -> Result<(), Error> {
        self.charge_nested(value, times, 0)
    }

    fn charge_nested(&mut self, value: &Value, times: usize, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        self.charge(VALUE_BYTES)?;
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

    /// Charges for the outermost level of a value.
    pub(crate) fn charge_shallow(&mut self, value: &Value) -> Result<(), Error> {
        let inside = match value.as_str() {
            Some(text) => text.len(),
            None if value.as_object().is_some() => value.len().unwrap_or_default().saturating_mul(VALUE_BYTES),
            None => 0,
        };
        self.charge(inside.saturating_add(VALUE_BYTES))
    }

    /// Copies a list into memory: the engine may represent a list as a computation that it repeats for each use.
    pub(crate) fn whole(&mut self, value: Value) -> Result<Value, Error> {
        let list = value.as_object().is_some_and(|o| matches!(o.repr(), ObjectRepr::Seq | ObjectRepr::Iterable));
        if !list || value.downcast_object_ref::<Vec<Value>>().is_some() || value.is_tuple() {
            return Ok(value);
        }
        let mut items = vec![];
        for item in value.try_iter()? {
            self.charge(VALUE_BYTES)?;
            items.push(item);
        }
        Ok(Value::from_object(items))
    }
}

/// The error of an operation that does not support the value.
pub(crate) fn invalid(problem: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem)
}

pub(crate) fn too_deep() -> Error {
    invalid(format!("a value is nested more than {MAX_DEPTH} levels deep, which is the limit"))
}

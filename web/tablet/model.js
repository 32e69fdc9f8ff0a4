// Observable base class of the app's state: components subscribe with `useStore` and render after each change.

export class Model {
  constructor() {
    this._listeners = new Set();
  }

  /** Calls `listener` after each change; returns a function that unsubscribes. */
  subscribe(listener) {
    this._listeners.add(listener);
    return () => this._listeners.delete(listener);
  }

  /** Notifies the listeners after a change. */
  changed() {
    for (const listener of this._listeners) listener();
  }

  _set(change) {
    Object.assign(this, change);
    this.changed();
  }
}

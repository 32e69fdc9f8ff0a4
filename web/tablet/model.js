// What the screens draw from: it changes, and whoever subscribed is told that it did. Draws nothing.

export class Model {
  constructor() {
    this._listeners = new Set();
  }

  /** Calls `listener` after each change; gives what ends that. */
  subscribe(listener) {
    this._listeners.add(listener);
    return () => this._listeners.delete(listener);
  }

  /** Tells that something is not as it was. */
  changed() {
    for (const listener of this._listeners) listener();
  }

  _set(change) {
    Object.assign(this, change);
    this.changed();
  }
}

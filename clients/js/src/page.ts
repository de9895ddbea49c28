// What a page tells its scripts about itself and its network. In node there is no page, and nothing is heard.

/**
 * Listens to the page. Returns what ends that.
 *
 * @param awake the network is back, or people look at the page again
 * @param stored the page goes into the cache of the back button, where it may stay for hours
 */
export function listenToPage(awake: () => void, stored: () => void, offline: () => void): AbortController {
  const controller = new AbortController();
  const take = ({ type, persisted }: any) => {
    if (type === 'offline') offline();
    else if (type === 'pagehide') persisted && stored();
    else if (type !== 'visibilitychange' || isVisible()) awake();
  };
  // Events of the document pass the window on their way down, even if they do not come up again.
  const options = { capture: true, signal: controller.signal };
  for (const type of 'online offline pageshow pagehide resume visibilitychange'.split(' ')) {
    globalThis.addEventListener?.(type, take, options);
  }
  return controller;
}

export function isVisible(): boolean {
  return globalThis.document?.visibilityState !== 'hidden';
}

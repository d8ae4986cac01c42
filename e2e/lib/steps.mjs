/** Steps of one drill: each builds on those before it, so the first that fails ends it. */
export function stepsOf(t, describeState) {
  let failed = false;
  return (name, perform) => t.test(name, async (step) => {
    if (failed) return step.skip('an earlier step failed');
    try {
      await perform(step);
    } catch (error) {
      failed = true;
      console.error(describeState());
      throw error;
    }
  });
}

caseHook() {
  echo "@word@, not @other@"
}

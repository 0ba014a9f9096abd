"""What `recommender promote` says of a model, of what it would do, and of what comes next."""

from rich.console import Console
from rich.markup import escape

from ops.promotion.destination import place_of, registration_of
from ops.promotion.packages import ModelPackage, package_name
from ops.promotion.pin import Pin, pin_of
from ops.promotion.plan import Promotion


def figures(package: ModelPackage) -> str:
    """Return the package's main figures in one phrase."""
    named = (("accuracy", "accuracy"), ("AUC", "auc"), ("cross-entropy", "cross_entropy"))
    known = ((label, package.figure(key)) for label, key in named)
    return ", ".join(f"{label} {figure:.4f}" for label, figure in known if figure is not None)


def show_plan(console: Console, promotion: Promotion) -> None:
    """Say what a promotion would do."""
    target, model = promotion.target, promotion.model
    missing = promotion.missing_files()
    console.print(f"\n[bold]What a promotion {promotion.name} would do[/bold]")
    for file in model.files:
        verb = "copy" if file in missing else "keep (there already)"
        place = place_of(file, model, promotion.bucket).uri
        console.print(f"  {verb} {escape(place)}, {file.size:,} bytes", soft_wrap=True)
    package = promotion.registered()
    if package is None:
        console.print(f"  register it in {target.environment.model_package_group}, with", soft_wrap=True)
        registration = registration_of(model, target.environment, promotion.bucket, promotion.origin)
        for key, value in sorted(registration.metadata.items()):
            console.print(f"    {key} = {escape(value)}", soft_wrap=True)
    else:
        console.print(f"  keep {package.arn} (registered already)", soft_wrap=True)
    pinned = pin_of(target.environment)
    if package is not None and pinned == Pin(package.arn, model.package.artifact_sha256):
        console.print(f"  keep the pin in config/{target.name}.toml", soft_wrap=True)
    else:
        before = package_name(pinned.package_arn) if pinned else "nothing"
        console.print(
            f"  write the pin into config/{target.name}.toml (it pins {before} now)", soft_wrap=True
        )
    console.print("Nothing has been changed.")


def show_next(console: Console, promotion: Promotion, pin: Pin, *, changed: bool) -> None:
    """Say what was done and what is to be done next."""
    name = promotion.target.name
    console.print(
        f"\n[bold green]{promotion.name}[/bold green]: config/{name}.toml "
        f"{'now pins' if changed else 'already pins'} {package_name(pin.package_arn)}",
        soft_wrap=True,
    )
    version = package_name(pin.package_arn)
    console.print(
        "Next:\n"
        f"  git switch -c promote-{version.replace('/', '-')} && "
        f'git commit -m "Promote {version}" config/{name}.toml\n'
        "  open a pull request with it; then, or by hand:\n"
        f"  npx cdk deploy --all -c env={name}",
        soft_wrap=True,
        markup=False,
    )
